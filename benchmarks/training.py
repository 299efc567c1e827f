"""What a training step costs, at the paper's sizes or others: images/s, memory, share of the peak.

    python -m benchmarks.training --batch 64 --out docs/results/training-speed
    python -m benchmarks.training --tokenizer pictograms-64 --generator dit-pictograms-64-class

The steps are those of `textok train`, with discriminator, clipping and moving average; only their
data is random and at hand. Each variant has a process of its own. FLOPs are the model's: forward
and backward passes as torch counts them, nothing that is done a second time to save memory, nor
the optimiser. The peak of a known GPU is its maker's for dense bf16; elsewhere it is what a large
matrix product reaches on the same machine, in the same numbers. After them come steps of a
tokenizer in which each part is timed (`benchmarks.step_parts`). `benchmarks.tokenizer_speed` sets
the tokenizer's networks beside torch's own layers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import ParamSpec, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed_report import Row, Variant
from benchmarks.step_parts import part_shares
from benchmarks.tokenizer_speed import clock
from benchmarks.training_report import Measured, write_report
from benchmarks.training_steps import Config, Task, training_step
from studies.command import as_command, read_arguments
from textok.config import TrainGeneratorConfig, TrainTokenizerConfig
from textok.config.check import require, require_range
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.runtime.device import Precision, best_device, trained_in

P = ParamSpec("P")
R = TypeVar("R")

CLASSES = 1000
WARM = 3
PEAKS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense bf16 FLOP/s by the makers' data sheets; the first that is part of the card's name."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Images/s, peak memory and share of the peak of training steps: JSON and Markdown."""

    task: tuple[Task, ...] = ("tokenizer", "generator")
    tokenizer: tuple[str, ...] = ("textok-256",)
    """Names or .yaml files, merged left to right."""
    generator: tuple[str, ...] = ("dit-class", "dit-xl")
    """Names or .yaml files of a DiT, merged left to right."""
    tokens: int = 256
    """K of the generator's latents."""
    batch: int = 32
    """Images a step."""
    steps: int = 10
    """Timed, after three to warm up."""
    threads: int = 0
    """CPU threads; 0 leaves the number to torch."""
    compile: bool = True
    """Also with run.compile, which takes minutes on a CPU."""
    out: Path = Path("docs/results/training-speed")
    """Folder for training.json and training.md."""

    def __post_init__(self) -> None:
        require(bool(self.task), "task is empty: name tokenizer, generator or both")
        for name, value, low in (
            ("tokens", self.tokens, 1),
            ("batch", self.batch, 1),
            ("steps", self.steps, 1),
            ("threads", self.threads, 0),
        ):
            require_range(name, value, low)


def read_config(settings: Settings, task: Task) -> Config:
    """The presets of ``task``, as one process trains them."""
    run = {"batch_size": settings.batch, "accumulate": 1, "shard": False}
    if task == "tokenizer":
        paths = [preset_path(name) for name in settings.tokenizer]
        return load_config(TrainTokenizerConfig, paths, {"run": run})
    paths = [preset_path(name) for name in settings.tokenizer]
    tokenizer = load_config(TrainTokenizerConfig, paths).tokenizer
    known = {
        "num_tokens": settings.tokens,
        "channels": tokenizer.channels,
        "classes": CLASSES,
        "text_width": tokenizer.text_width,
        "text_tokens": tokenizer.text_tokens,
    }
    paths = [preset_path(name) for name in settings.generator]
    return load_config(TrainGeneratorConfig, paths, {"run": run, "generator": known})


def as_run(config: Config, variant: Variant, *, batch: int) -> Config:
    """``config`` as a variant runs it."""
    run = replace(
        config.run, precision=variant.precision, compile=variant.compiled, batch_size=batch
    )
    return replace(config, run=run)


def count_flops(config: Config) -> float:
    """FLOPs an image, forward and backward: what a second image adds to a step."""
    eager = Variant(model="textok", compiled=False, precision="fp32")
    counts = []
    for batch in (1, 2):
        step = training_step(as_run(config, eager, batch=batch))
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            step()
        counts.append(float(counter.get_total_flops()))
    return counts[1] - counts[0]


def time_steps(
    config: Config, steps: int, threads: int
) -> tuple[list[float], float, dict[str, float]]:
    """Seconds of each step, MiB at the peak, shares of a tokenizer's parts; for a fresh process.

    On CUDA what torch allocates; on a CPU the growth of the resident set, compiling included.
    """
    torch.set_num_threads(threads)
    device = best_device().type
    before = getrusage(RUSAGE_SELF).ru_maxrss
    step = training_step(config)
    for _ in range(WARM):
        step()
    seconds = [clock(step, 1, device) for _ in range(steps)]
    if device == "cuda":
        mib = torch.cuda.max_memory_allocated() / 2**20
    else:
        grown = getrusage(RUSAGE_SELF).ru_maxrss - before
        mib = grown / (2**20 if sys.platform == "darwin" else 2**10)
    parts = part_shares(step, steps) if isinstance(config, TrainTokenizerConfig) else {}
    return seconds, mib, parts


def peak_flops(precision: Precision, device: str) -> tuple[float, str]:
    """FLOP/s that nothing exceeds, and where the number is from."""
    if device == "cuda" and precision == "bf16":
        card = torch.cuda.get_device_name()
        for name, peak in PEAKS.items():
            if name in card:
                return peak, f"{name}'s data sheet"
    size = 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    seconds = min(clock(lambda: matrix @ matrix, 1, device) for _ in range(5))
    return 2 * size**3 / seconds, f"a product of {size} x {size} matrices"


def in_fresh_process(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """What ``function`` gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(function, *given, **named).result()


def measure(settings: Settings) -> list[Measured]:
    """A row for each task and variant; the first variant of a task is the peer of the others."""
    device = best_device().type
    precisions: tuple[Precision, ...] = ("bf16",) if device == "cuda" else ("fp32", "bf16")
    precisions = tuple(one for one in precisions if trained_in(device, one) == one)
    variants = [
        Variant(model="textok", compiled=compiled, precision=precision)
        for compiled in ((False, True) if settings.compile else (False,))
        for precision in precisions
    ]
    # This process stays small: a new one's ru_maxrss starts from that of its parent.
    peaks = {one: in_fresh_process(peak_flops, one, device) for one in precisions}
    found = []
    for task in settings.task:
        config = read_config(settings, task)
        flops, peer = in_fresh_process(count_flops, config), None
        for variant in variants:
            run = as_run(config, variant, batch=settings.batch)
            began = time.monotonic()
            threads = torch.get_num_threads()
            seconds, mib, parts = in_fresh_process(time_steps, run, settings.steps, threads)
            peer = peer or seconds
            row = Row(
                task=f"{task} step",
                batch=settings.batch,
                variant=variant,
                seconds=seconds,
                peer_seconds=peer,
                peak_mib=mib,
            )
            peak, source = peaks[variant.precision]
            found.append(Measured(row=row, flops=flops, peak=peak, source=source, parts=parts))
            print(f"{found[-1].line()} | after {time.monotonic() - began:.0f} s", flush=True)
    return found


@as_command("training")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.training")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    found = measure(settings)
    write_report(found, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
