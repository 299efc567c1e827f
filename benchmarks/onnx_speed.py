"""Exported graphs beside torch: how far apart, how large, and how fast on the CPU.

    textok export onnx products exports/fp32
    textok export onnx products exports/int8 --weights int8
    python -m benchmarks.onnx_speed products --exports exports/fp32 exports/int8 --threads 1

torch runs the same networks eagerly, in fp32. It and the exports take turns, so that a busy moment
meets them all, and are compared within a turn.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import tyro

from benchmarks.exports import open_exports
from benchmarks.speed_report import hardware, ratio, show_ratio
from benchmarks.tokenizer_speed import clock
from studies.command import as_command, read_arguments
from textok.config.bundled import BUNDLED
from textok.config.check import require_range
from textok.config.generator import AS_SAMPLED
from textok.evaluate.markdown import markdown_table
from textok.export.client import Client
from textok.export.graph import Graph
from textok.export.graphs import generator_graph, tokenizer_graphs
from textok.export.model import ExportedModel, open_model
from textok.export.modules import run
from textok.runtime.files import write_text

SECONDS_A_TURN = 0.2
PEER = "torch eager fp32"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Differences, sizes and times of exports: JSON and Markdown."""

    model: Annotated[str, tyro.conf.Positional] = BUNDLED
    """What was exported: the bundled model, a folder or a hub name."""
    exports: tuple[Path, ...]
    """Folders that `textok export onnx` wrote of it."""
    batch: tuple[int, ...] = (1, 8)
    """Rows at once; guidance takes two an image."""
    threads: int = 1
    """CPU threads of both."""
    repeats: int = 7
    """Turns of each."""
    out: Path = Path("docs/results/onnx")
    """Folder for onnx.json and onnx.md."""

    def __post_init__(self) -> None:
        for name, value in (
            ("exports", len(self.exports)),
            ("batch", min(self.batch, default=0)),
            ("threads", self.threads),
            ("repeats", self.repeats),
        ):
            require_range(name, value, 1)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One graph at one batch size, as one of the sides runs it."""

    graph: str
    batch: int
    side: str
    seconds: list[float]
    """Of one call, in each turn."""
    peer: list[float]
    """Those of torch in the same turns."""

    def cells(self) -> list[str]:
        times = show_ratio(ratio(self.peer, self.seconds))
        return [self.graph, str(self.batch), self.side, f"{median(self.seconds) * 1e3:.2f}", times]


def measure(model: ExportedModel, clients: dict[str, Client], settings: Settings) -> list[Row]:
    """Times of encoder, decoder and one evaluation of the generator."""
    graphs = tokenizer_graphs(model.tokenizer)
    if model.generator is not None:
        graphs.append(generator_graph(model.generator))
    rows = []
    for graph in graphs:
        for batch in settings.batch:
            calls = _calls(graph, batch, clients)
            counts = {side: _count(call) for side, call in calls.items()}
            turns = [
                {side: clock(call, counts[side], "cpu") for side, call in calls.items()}
                for _ in range(settings.repeats)
            ]
            peer = [turn[PEER] for turn in turns]
            for side in calls:
                seconds = [turn[side] for turn in turns]
                row = Row(graph=graph.name, batch=batch, side=side, seconds=seconds, peer=peer)
                rows.append(row)
                print(" | ".join(row.cells()), flush=True)
    return rows


def _calls(graph: Graph, batch: int, clients: dict[str, Client]) -> dict[str, Callable[[], object]]:
    inputs = graph.example(batch=batch)
    arrays = {name: value.numpy() for name, value in inputs.items()}
    calls: dict[str, Callable[[], object]] = {PEER: partial(run, graph.module, inputs)}
    for side, client in clients.items():
        client.session(graph.name)
        calls[side] = partial(client.run, graph.name, **arrays)
    return calls


def _count(call: Callable[[], object]) -> int:
    """Calls that take long enough for a turn, after one that warms up."""
    call()
    return math.ceil(SECONDS_A_TURN / clock(call, 1, "cpu"))


def write_report(
    rows: Sequence[Row], clients: dict[str, Client], arguments: Sequence[str], folder: Path
) -> None:
    """Write onnx.json and onnx.md into ``folder``."""
    import onnxruntime

    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.onnx_speed", *arguments])
    machine = {**hardware(), "onnxruntime": onnxruntime.__version__}
    manifests = {side: client.manifest for side, client in clients.items()}
    report = {
        "command": command,
        "machine": machine,
        "differences": {side: one["differences"] for side, one in manifests.items()},
        "bytes": {side: _sizes(one["graphs"]) for side, one in manifests.items()},
        "rows": [asdict(row) for row in rows],
    }
    write_text(folder / "onnx.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# Exported graphs beside torch",
        "",
        f"`{command}`, {len(rows[0].seconds)} turns of each.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "The largest difference from torch is relative to torch's largest number where that is "
        "above 1; PSNR is of images in [-1, 1]. Weights: " + _weights(manifests) + ".",
        "",
        *markdown_table(*_difference_table(manifests)),
        "",
        "Milliseconds of one call, medians over the turns.",
        "",
        *markdown_table(
            ["graph", "batch", "side", "ms", "times torch (quartiles)"],
            [row.cells() for row in rows],
        ),
        "",
    ]
    write_text(folder / "onnx.md", "\n".join(lines))


def _sizes(graphs: dict[str, dict[str, int]]) -> dict[str, int]:
    return {name: graph["bytes"] for name, graph in graphs.items()}


def _weights(manifests: dict[str, dict[str, object]]) -> str:
    return ", ".join(f"`{side}` {one['weights']}" for side, one in manifests.items())


def _difference_table(manifests: dict[str, dict[str, object]]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: a graph or a whole way a row; size, difference and PSNR of each export."""
    heads = ["what"]
    found: dict[str, list[str]] = {}
    for side, about in manifests.items():
        heads += [f"{side}: MB", "largest difference", "PSNR dB"]
        sizes = _sizes(about["graphs"])  # type: ignore[arg-type]
        for one in about["differences"]:  # type: ignore[attr-defined]
            size = f"{sizes[one['name']] / 1e6:.2f}" if one["name"] in sizes else ""
            decibel = "" if one["psnr"] is None else f"{one['psnr']:.1f}"
            found.setdefault(one["name"], [one["name"]]).extend(
                [size, f"{one['largest']:.1e}", decibel]
            )
    return heads, list(found.values())


@as_command("onnx_speed")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.onnx_speed")
    torch.set_num_threads(settings.threads)
    model = open_model(settings.model, AS_SAMPLED)
    clients = open_exports(settings.model, settings.exports, beside=PEER, threads=settings.threads)
    write_report(measure(model, clients, settings), clients, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
