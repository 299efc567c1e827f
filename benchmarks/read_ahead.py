"""What a training step takes with its batch made before it or during the step before.

    python -m benchmarks.read_ahead [--out docs/results/reading/ahead]

The fast loader has its bytes at hand, the slow one waits for each batch as long as a step takes, as
for a disk or a network. Both turn them into the numbers that the step reads. Ways of reading take
turns; ratios are of the same turn.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks.speed_report import hardware
from benchmarks.training_steps import TrainingStep, training_step
from studies.command import run_command
from textok.config import TrainTokenizerConfig
from textok.config.check import require_range
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.data.pixels import to_tensor
from textok.evaluate.markdown import markdown_table
from textok.runtime.device import best_device
from textok.runtime.prefetch import prefetch
from textok.types import Batch, upload


def batches(rows: int, size: int, wait: float) -> Iterator[Sequence[Batch]]:
    """The same pixels without end, each batch after ``wait`` seconds."""
    pixels_BHW3 = torch.randint(0, 256, (rows, size, size, 3), dtype=torch.uint8)
    names = [str(row) for row in range(rows)]
    while True:
        time.sleep(wait)
        images = to_tensor(upload(pixels_BHW3, best_device()))
        yield [Batch(images=images, captions=[""] * rows, keys=names)]


def clock(step: TrainingStep, made: Iterator[Sequence[Batch]], steps: int) -> float:
    """Seconds of a step with its batch, after the first."""
    step.task.step(next(made), step.number)
    start = time.perf_counter()
    for _ in range(steps):
        float(step.task.step(next(made), step.number)["loss"])
    return (time.perf_counter() - start) / steps


def measure(
    config: TrainTokenizerConfig, *, steps: int, repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of a step without and with reading ahead, by loader, a pair a turn."""
    step = training_step(config)
    rows, size = config.run.batch_size, config.tokenizer.image_size
    found: dict[str, list[tuple[float, float]]] = {"fast": [], "slow": []}
    for _ in range(repeats):
        alone = clock(step, batches(rows, size, 0), steps)
        found["fast"].append((alone, clock(step, prefetch(batches(rows, size, 0)), steps)))
        waiting = clock(step, batches(rows, size, alone), steps)
        found["slow"].append((waiting, clock(step, prefetch(batches(rows, size, alone)), steps)))
    return found


def main(
    *,
    tokenizer: str = "products-64",
    batch: int = 32,
    steps: int = 5,
    repeats: int = 5,
    out: Path | None = None,
) -> None:
    """Measure and print a table.

    Args:
        tokenizer: Preset or .yaml file.
        batch: Images a step.
        steps: Timed steps a turn.
        repeats: Turns.
        out: Folder for ``ahead.md``.
    """
    for name, value in (("batch", batch), ("steps", steps), ("repeats", repeats)):
        require_range(name, value, 1)
    changes = {"run": {"batch_size": batch, "accumulate": 1, "shard": False}}
    config = load_config(TrainTokenizerConfig, [preset_path(tokenizer)], changes)
    rows = [
        [
            loader,
            f"{median(before for before, _ in pairs):.3f}",
            f"{median(after for _, after in pairs):.3f}",
            f"{median(before / after for before, after in pairs):.2f}",
        ]
        for loader, pairs in measure(config, steps=steps, repeats=repeats).items()
    ]
    heads = ["loader", "seconds a step", "with reading ahead", "times as fast"]
    about = f"`python -m benchmarks.read_ahead --tokenizer {tokenizer} --batch {batch}`"
    report = "\n".join(
        ["# Reading ahead", "", f"{about}, {repeats} turns of {steps} steps, medians.", "",
         ", ".join(f"{key} {value}" for key, value in hardware().items()) + ".", "",
         *markdown_table(heads, rows), ""]
    )  # fmt: skip
    print(report)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "ahead.md").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    run_command(main, "benchmarks.read_ahead", description=__doc__)
