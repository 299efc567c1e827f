"""How long commands take from the shell to their end, beside the import of torch alone.

    python -m benchmarks.cold_start [--other CHECKOUT] [--out docs/results/cold-start]

Each turn starts every command once in a process of its own, so that whatever else the machine does
meets all alike. Ratios are of a turn: CPU seconds of a command by those of the import, in which a
busy machine counts less than in the time on the clock. With ``--other`` the commands are also those
of another checkout.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed_report import hardware
from studies.command import run_command
from textok.config.check import require, require_range
from textok.evaluate.markdown import markdown_table

HERE = Path(__file__).parents[1]
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "textok --help": ("-m", "textok.cli", "--help"),
    "textok generate": ("-m", "textok.cli", "generate", "red women handbag", "--seed", "0"),
}
BASE = "import torch"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process from its start to its end."""

    wall: float
    cpu: float
    """Seconds of all its threads."""


def run(arguments: tuple[str, ...], *, checkout: Path, folder: Path) -> Run:
    """Start Python with ``arguments`` in ``folder``, textok from ``checkout``.

    Raises CalledProcessError where it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    before, start = _cpu_seconds(), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True
    )
    return Run(wall=time.perf_counter() - start, cpu=_cpu_seconds() - before)


def measure(checkouts: dict[str, Path], repeats: int) -> dict[tuple[str, str], list[Run]]:
    """Runs of each command of each checkout, by command and name of the checkout."""
    found: dict[tuple[str, str], list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repeats + 1):
            for name, checkout in checkouts.items():
                for command, arguments in COMMANDS.items():
                    one = run(arguments, checkout=checkout, folder=Path(folder))
                    if turn:  # the first reads the files from the disk
                        found.setdefault((command, name), []).append(one)
    return found


def rows(found: dict[tuple[str, str], list[Run]]) -> Iterator[list[str]]:
    """Medians over the turns; the ratio is of each turn's import of the same checkout."""
    for (command, name), runs in found.items():
        base = found[BASE, name]
        ratio = median(one.cpu / other.cpu for one, other in zip(runs, base, strict=True))
        yield [
            f"`{command}`", name, f"{median(one.wall for one in runs):.2f}",
            f"{median(one.cpu for one in runs):.2f}", f"{ratio:.2f}",
        ]  # fmt: skip


def main(*, repeats: int = 5, other: Path | None = None, out: Path | None = None) -> None:
    """Measure and print a table.

    Args:
        repeats: Turns of all commands, after one that is not counted.
        other: Another checkout to compare with.
        out: Folder for ``cold_start.md``.
    """
    require_range("repeats", repeats, 1)
    require(other is None or (other / "textok").is_dir(), f"other {other}: no checkout of textok")
    checkouts = {"this": HERE} | ({} if other is None else {"other": other.absolute()})
    table = markdown_table(
        ["command", "checkout", "seconds", "CPU seconds", "times `import torch`"],
        list(rows(measure(checkouts, repeats))),
    )
    report = "\n".join(
        ["# Cold start", "", f"`python -m benchmarks.cold_start`, {repeats} turns, medians.",
         "", ", ".join(f"{key} {value}" for key, value in hardware().items()) + ".", "", *table, ""]
    )  # fmt: skip
    print(report)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "cold_start.md").write_text(report, encoding="utf-8")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    run_command(main, "benchmarks.cold_start", description=__doc__)
