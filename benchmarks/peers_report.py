"""Times of `benchmarks.peers` as JSON and a Markdown table, kept between commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed_report import hardware, ratio, show_ratio
from textok.config.check import require
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text
from textok.runtime.pretrained import read_json


@dataclass(frozen=True, kw_only=True)
class Row:
    """One side in one case."""

    model: str
    side: str
    task: str
    precision: str
    batch: int
    cpu: list[float]
    """Seconds of a call by the process's clock, in each turn."""
    wall: list[float]
    peer_cpu: list[float]
    """Those of 1d-tokenizer in the same turns; empty where it has no such model."""
    peer_wall: list[float]

    def cells(self) -> list[str]:
        def times(peer: list[float], own: list[float]) -> str:
            return show_ratio(ratio(peer, own)) if peer else ""

        return [
            self.model,
            self.side,
            self.task,
            self.precision,
            str(self.batch),
            f"{median(self.cpu) / self.batch:.3g}",
            times(self.peer_cpu, self.cpu),
            f"{median(self.wall) / self.batch:.3g}",
            times(self.peer_wall, self.wall),
        ]


HEADS = [
    "model",
    "run by",
    "task",
    "precision",
    "batch",
    "CPU s an image",
    "times 1d-tokenizer (quartiles)",
    "wall s an image",
    "times 1d-tokenizer, wall (quartiles)",
]


class Report:
    """What was measured so far; every case is written as it comes."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        """Raises ValueError for a folder whose numbers are another machine's."""
        self.folder = folder
        # torch's version compares by its parts, not as the text that is read back.
        self.machine = {name: str(value) for name, value in hardware().items()}
        self.command = shlex.join(["python", "-m", "benchmarks.peers", *arguments])
        self.rows: list[Row] = []
        self.equal: dict[str, str] = {}
        path = folder / "peers.json"
        if path.exists():
            found = read_json(path)
            same = found.get("machine") == self.machine
            require(same, f"{path}: measured elsewhere, or otherwise: name another folder")
            self.rows = [Row(**row) for row in found["rows"]]
            self.equal = found["equal"]

    def has(self, model: str, precision: str, batch: int) -> bool:
        wanted = (model, precision, batch)
        return any((row.model, row.precision, row.batch) == wanted for row in self.rows)

    def add(self, rows: Sequence[Row], equal: dict[str, str]) -> None:
        self.rows += rows
        self.equal |= equal
        self.write()

    def write(self) -> None:
        """Write peers.json and peers.md."""
        self.folder.mkdir(parents=True, exist_ok=True)
        report = {
            "command": self.command,
            "machine": self.machine,
            "equal": self.equal,
            "rows": [asdict(row) for row in self.rows],
        }
        write_text(self.folder / "peers.json", json.dumps(report, indent=1) + "\n")
        turns = sorted({len(row.cpu) for row in self.rows})
        same = "; ".join(self.equal.values())
        lines = [
            "# Image tokenizers beside each other",
            "",
            f"`{self.command}`, {' or '.join(map(str, turns))} turns of each.",
            "",
            ", ".join(f"{name} {value}" for name, value in self.machine.items()) + ".",
            "",
            "Images of 256 px to codes or latents and back, random weights, each model by its own "
            "modules: TiTok by 1d-tokenizer and, with the same weights converted, by textok, which "
            "packs them as a pipeline does that is loaded (not TiTok-L's, which are too many); "
            "SD-VAE and DC-AE by diffusers. "
            + (f"In fp32, before anything was timed: {same}. " if same else "")
            + "bf16 means bf16 weights; 1d-tokenizer's codebook stays in fp32, without which it "
            "fails. The sides of a model take turns and are compared within a turn. CPU seconds "
            "are of the process: on a core that other work shares, wall time has that work in it.",
            "",
            *markdown_table(HEADS, [row.cells() for row in self.rows]),
            "",
        ]
        write_text(self.folder / "peers.md", "\n".join(lines))
