"""What the GPU at hand reaches: the most valuable numbers first, in under six minutes.

    python -m benchmarks.gpu --seconds 350 --out docs/results/gpu    # needs textok[bench]

Shares of the peak in training, a picture of 32 tokens in 250 steps, in 16 and in one beside the
original pipeline, with the goals that they have to reach, encoding and decoding, the way of a batch
to the device. Each row is written when it is known, and one that fails does not stop the others; a
row is not begun in less time than it is expected to take, and ends with the time. The same command
again measures what is missing. Other benchmarks measure each of these at length:
`benchmarks.training`, `sampling`, `parts`, `tokenizer_speed`, `read_ahead`.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from benchmarks.gpu_report import DONE, Report, Result, open_report
from benchmarks.gpu_rows import TOY, CountingBench, Row, Sizes, rows
from benchmarks.training import peak_flops
from studies.command import as_command, read_arguments
from textok.config.check import require_range
from textok.runtime.device import best_device


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Milliseconds and shares of the peak: JSON and Markdown, written after every row."""

    seconds: float = 350
    """Time for all of it, from the start of the command on."""
    repeats: int = 5
    """Calls timed together, after two that warm up."""
    toy: bool = False
    """Tiny networks, and nothing is compiled: does every row run? For a CPU."""
    out: Path = Path("docs/results/gpu")
    """Folder for gpu.json and gpu.md."""

    def __post_init__(self) -> None:
        require_range("seconds", self.seconds, 0, 1e6)
        require_range("repeats", self.repeats, 1)


class OutOfTime(BaseException):
    """Raised inside a row when the time is over; no handler of errors takes it for one."""


def measure_rows(todo: list[Row], report: Report, *, end: float, repeats: int, toy: bool) -> None:
    """Each row that the report lacks, until ``end`` by the monotonic clock."""
    for row in todo:
        if report.done(row.name):
            print(f"{row.name}: already measured", flush=True)
            continue
        left = end - time.monotonic()
        if left <= 0 or (left < row.seconds and not toy):
            print(f"{row.name}: left out, {max(left, 0):.0f} s are not enough", flush=True)
            continue
        print(f"{row.name}: {left:.0f} s left", flush=True)
        report.add(measure_row(row, left, repeats))
        print(f"{row.name}: {report.results[row.name].state}", flush=True)


def measure_row(row: Row, left: float, repeats: int) -> Result:
    """What is found of a row in the seconds that are ``left``."""
    bench, began, state = CountingBench(repeats), time.monotonic(), DONE
    try:
        with time_limit(left):
            row.measure(bench)
    except OutOfTime:
        state = "out of time"
    except Exception as error:  # whatever it is, the other rows are worth having
        state = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    gc.collect()
    torch.compiler.reset()
    if bench.cuda:
        torch.cuda.empty_cache()
    seconds = time.monotonic() - began
    return Result(row=row.name, state=state, seconds=seconds, parts=bench.parts, flops=bench.flops)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block once the ``seconds`` are over."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@as_command("gpu")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    began = time.monotonic()
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.gpu")
    sizes = TOY if settings.toy else Sizes()
    with torch.compiler.set_stance("force_eager") if settings.toy else nullcontext():
        device = best_device().type
        peak = (1e12, "a placeholder") if settings.toy else peak_flops("bf16", device)
        report = open_report(settings.out, arguments, sizes, peak)
        end = began + settings.seconds
        measure_rows(rows(sizes), report, end=end, repeats=settings.repeats, toy=settings.toy)


if __name__ == "__main__":
    main(sys.argv[1:])
