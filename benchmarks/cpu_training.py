"""Training steps of products' presets on a CPU, in bf16 if it has that: before, now, compiled.

    python -m benchmarks.cpu_training --threads 1 --out docs/results/training-speed/one-core

Before: attention and GELU by torch's kernels, attention in float32, a whole last block in encoder
and decoder, LPIPS with channels first. Now: what `textok train` does (`textok.nn.few_keys`,
`textok.nn.gelu`, `textok.tokenizer.transformer`, `textok.nn.lpips`). All variants start from the
same weights and take turns in one process; times are of its CPU time, since others may use the core
meanwhile. LPIPS's weights are needed (`textok convert lpips`).
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.speed_report import hardware, ratio, show_ratio
from benchmarks.training import Settings as TrainingSettings
from benchmarks.training import count_flops, read_config
from benchmarks.training_steps import Config, Task, training_step
from studies.command import as_command, read_arguments
from textok.config.check import require, require_range
from textok.evaluate.markdown import markdown_table
from textok.nn import few_keys, gelu
from textok.nn.block import Block
from textok.nn.lpips import LPIPS
from textok.runtime.device import Precision, trained_in
from textok.runtime.files import write_text

Variant = Literal["before", "now", "compiled"]
WARM = 2
PEAK_SIZE = 2048


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times of training steps in turns: JSON and Markdown."""

    task: tuple[Task, ...] = ("tokenizer", "generator")
    tokenizer: tuple[str, ...] = ("products-64",)
    """Names or .yaml files, merged left to right."""
    generator: tuple[str, ...] = ("dit-products-64",)
    """Names or .yaml files of a DiT, merged left to right."""
    tokens: int = 4
    """K of the generator's latents."""
    batch: tuple[int, int] = (64, 256)
    """Images a step of the tokenizer, rows a step of the generator."""
    variants: tuple[Variant, ...] = ("before", "now", "compiled")
    """The first is what the others are compared with; compiling takes minutes."""
    turns: int = 9
    """Steps of each variant, after two to warm up."""
    threads: int = 1
    """CPU threads."""
    out: Path = Path("docs/results/training-speed/one-core")
    """Folder for training.json and training.md."""

    def __post_init__(self) -> None:
        for name in ("tokens", "turns", "threads"):
            require_range(name, getattr(self, name), 1)
        require_range("batch", min(self.batch, default=0), 1)
        require(bool(self.task and self.variants), "name a task and a variant at least")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One variant of one step."""

    task: Task
    batch: int
    variant: Variant
    gflop: float
    """Of a step, its network's passes and the loss's networks; the optimiser's are not in it."""
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Of all steps, from the first."""


@contextmanager
def as_before(on: bool) -> Iterator[None]:
    """With the attention, the GELU, the last block and the LPIPS of before."""
    if not on:
        yield
        return
    maps, forward = LPIPS.maps, Block.forward

    def channels_first(self: LPIPS, images_B3HW: Tensor) -> list[Tensor]:
        with patch.object(Tensor, "contiguous", lambda given, **_: given):
            return maps(self, images_B3HW)

    def whole(
        self: Block, x_BSD: Tensor, keys_BS: Tensor | None = None, read: slice | None = None
    ) -> Tensor:
        made = forward(self, x_BSD, keys_BS)
        return made if read is None else made[:, read]

    with (
        patch.object(few_keys, "usable", lambda *_: False),
        patch.object(gelu, "usable", lambda *_: False),
        patch.object(Block, "forward", whole),
        patch.object(LPIPS, "maps", channels_first),
    ):
        yield


def in_turns(settings: Settings, task: Task, gflop: Callable[[Config], float]) -> list[Timed]:
    """The variants of one step."""
    given = TrainingSettings(
        tokenizer=settings.tokenizer, generator=settings.generator, tokens=settings.tokens
    )
    batch = settings.batch[task == "generator"]
    found, steps = [], list[Callable[[], Any]]()
    for variant in settings.variants:
        config = read_config(replace(given, batch=batch), task)
        run = replace(config.run, precision="bf16", compile=variant == "compiled")
        config = replace(config, run=run)
        torch.manual_seed(0)
        # The first step at the full rate, again and again.
        steps.append(replace(training_step(config), number=config.optim.warmup))
        found.append(Timed(task=task, batch=batch, variant=variant, gflop=batch * gflop(config)))
    for turn in range(WARM + settings.turns):
        for timed, step in zip(found, steps, strict=True):
            with as_before(timed.variant == "before"):
                start = time.process_time()
                logs = step()
                seconds = time.process_time() - start
            timed.losses.append(float(logs["loss"]))
            if turn >= WARM:
                timed.seconds.append(seconds)
                print(f"{task} {timed.variant} {seconds:.3f} s", flush=True)
    return found


def peak(precision: Precision) -> float:
    """GFLOP/s of a large product in these numbers, by CPU time."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix, times = torch.randn(PEAK_SIZE, PEAK_SIZE, dtype=dtype), []
    for _ in range(5):
        start = time.process_time()
        matrix @ matrix
        times.append(time.process_time() - start)
    return 2 * PEAK_SIZE**3 / min(times) / 1e9


def write_report(
    found: Sequence[Timed],
    highest: float,
    precision: Precision,
    arguments: Sequence[str],
    folder: Path,
) -> None:
    """Write training.json and training.md into ``folder``."""
    command = shlex.join(["python", "-m", "benchmarks.cpu_training", *arguments])
    machine, rows = hardware(), []
    for one in found:
        peer = next(other for other in found if other.task == one.task)
        seconds = median(one.seconds)
        rows.append(
            [
                f"{one.task} step",
                str(one.batch),
                one.variant,
                f"{one.batch / seconds:.4g}",
                show_ratio(ratio(peer.seconds, one.seconds)),
                f"{one.gflop / highest / seconds:.0%}",
                f"{one.losses[0]:.6f}",
                f"{one.losses[-1]:.6f}",
            ]
        )
    heads = ["task", "batch", "variant", "images/s", "times the first (quartiles)"]
    heads += ["at the peak's rate", "first loss", f"loss of step {len(found[0].losses)}"]
    lines = [
        "# Training steps of products' presets on a CPU",
        "",
        f"`{command}`, {precision}, {len(found[0].seconds)} turns of each variant, in CPU time.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items())
        + f"; a product of {PEAK_SIZE} x {PEAK_SIZE} matrices in {precision} reaches "
        f"{highest:.0f} GFLOP/s.",
        "",
        "Before: attention and GELU by torch's kernels, attention in float32, a whole last block "
        "in encoder and decoder, LPIPS with channels first. Now: attention by passes of its own "
        "with products in bf16, GELU looked up (both with bf16 alone), a last block of what is "
        "read alone, LPIPS with channels last. Compiled: with `run.compile`, which fuses GELU. "
        "*At the peak's rate* is the share of a step that the products and convolutions of its "
        "networks, as they are now, would take at the rate of the large product, without those of "
        "the optimiser Muon. Losses are on one random batch, from the same weights, at the peak of "
        "the rate.",
        "",
        *markdown_table(heads, rows),
        "",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "command": command,
        "machine": machine,
        "precision": precision,
        "peak_gflops": highest,
        "rows": [asdict(one) for one in found],
    }
    write_text(folder / "training.json", json.dumps(report, indent=1) + "\n")
    write_text(folder / "training.md", "\n".join(lines))


@as_command("cpu_training")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.cpu_training")
    torch.set_num_threads(settings.threads)
    known: dict[str, float] = {}

    def gflop(config: Config) -> float:
        """Of an image or a row; the same for all variants of a task."""
        name = type(config).__name__
        if name not in known:
            known[name] = count_flops(config) / 1e9
        return known[name]

    found = [one for task in settings.task for one in in_turns(settings, task, gflop)]
    precision = trained_in("cpu", "bf16")
    write_report(found, peak(precision), precision, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
