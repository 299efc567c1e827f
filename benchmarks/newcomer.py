"""How long a newcomer takes: from a bare clone to a first picture, and on 200 own pictures.

    python -m benchmarks.newcomer --out docs/results/newcomer

Each step is a command of the README or of docs/own-images.md, run in a fresh clone with an
environment of its own, and timed as a whole. The 200 pictures are of the sample, written as PNG
files with a caption in a text file beside each.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from benchmarks.speed_report import hardware
from studies.command import as_command, read_arguments
from textok.config.check import require_range
from textok.demo.samples import SAMPLE
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

QUICK = (
    "--run.steps 400 --run.batch-size 16 --optim.name muon --optim.muon-lr 1.5e-2 "
    "--optim.weight-decay 0.1 --optim.warmup 20 --tokenizer.qk-norm true"
)
"""The short training of docs/tutorial.md; the presets' own are longer."""
FIRST = ("make demo",)
OWN = (
    "textok captions report my-images --text-encoder minilm --max-tokens 64 --out captions-report",
    f"textok train tokenizer tiny-64 --data.path my-images {QUICK}",
    "textok evaluate reconstruction runs/tiny-64/model my-images --out report --pca",
    "textok extract runs/tiny-64/model my-images my-latents --flip",
    "textok train generator dit-tiny-64 --latents.path my-latents --run.steps 300 "
    "--run.batch-size 32 --optim.warmup 20",
    "textok evaluate generation runs/dit-tiny-64/model my-images --out report-drawn --steps 8",
    'textok generate "a red apple" --model runs/dit-tiny-64/model --num-images 4',
)
SPLITS = {"train": 160, "val": 20, "test": 20}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Seconds of each step and what it said: JSON and Markdown."""

    out: Path = Path("docs/results/newcomer")
    """Folder for README.md and steps.json."""
    lines: int = 6
    """Last lines kept of what a step says."""

    def __post_init__(self) -> None:
        require_range("lines", self.lines, 1)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command, as a newcomer gives it."""

    command: str
    seconds: float
    said: list[str]


def run_steps(commands: Sequence[str], folder: Path, *, lines: int) -> Iterator[Step]:
    """Each command in ``folder``, whose environment is activated if there is one.

    Raises SystemExit at the first that fails, with what it said.
    """
    for command in commands:
        activated = f"[ -f .venv/bin/activate ] && . .venv/bin/activate; {command}"
        start = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", activated],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
        if done.returncode:
            sys.exit("\n".join([f"newcomer: {command} failed:", *said[-20:]]))
        step = Step(command=command, seconds=time.monotonic() - start, said=said[-lines:])
        print(f"{step.seconds:7.1f} s  {command}", flush=True)
        yield step


def own_pictures(folder: Path) -> None:
    """200 pictures of the sample as someone's own: PNG files, a text beside each."""
    for split, count in SPLITS.items():
        (folder / split).mkdir(parents=True)
        rows = (SAMPLE / split / "metadata.jsonl").read_text("utf-8").splitlines()[:count]
        for row in map(json.loads, rows):
            name = folder / split / row["key"]
            Image.open(SAMPLE / split / row["file_name"]).save(name.with_suffix(".png"))
            name.with_suffix(".txt").write_text(row["captions"][0] + "\n", encoding="utf-8")


def write_report(roads: dict[str, list[Step]], arguments: Sequence[str], folder: Path) -> None:
    """Write README.md and steps.json into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.newcomer", *arguments])
    machine = hardware()
    report = {
        "command": command,
        "machine": machine,
        "roads": {title: [asdict(step) for step in steps] for title, steps in roads.items()},
    }
    write_text(folder / "steps.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# A newcomer's road",
        "",
        f"`{command}`",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "Wall-clock seconds of each command in a fresh clone with an environment of its own. "
        "Installing depends on the network.",
        "",
    ]
    for title, steps in roads.items():
        rows = [[f"`{step.command}`", f"{step.seconds:.1f}"] for step in steps]
        total = sum(step.seconds for step in steps)
        lines += [f"## {title}", ""]
        lines += markdown_table(["step", "seconds"], [*rows, ["together", f"{total:.1f}"]])
        for step in steps:
            lines += ["", f"`{step.command}` ends with", "", "```text", *step.said, "```"]
        lines += [""]
    write_text(folder / "README.md", "\n".join(lines))


@as_command("newcomer")
def main(arguments: list[str]) -> None:
    """Walk both roads and write what they took."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.newcomer")
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "textok"
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        first = list(run_steps(FIRST, clone, lines=settings.lines))
        own_pictures(clone / "my-images")
        own = list(run_steps(OWN, clone, lines=settings.lines))
    write_report(
        {"From a bare clone to a first picture": first, "On 200 pictures of one's own": own},
        arguments,
        settings.out,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
