"""Training losses against images seen: the same batches, with the caption and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from textok.config import TrainTokenizerConfig
from textok.config.read import load_config
from textok.runtime.run_log import read_log

WINDOW = 8
"""Logged steps in a running mean."""
COLOURS = {"none": "#888888", "both": "#d1495b", "encoder": "#00798c", "decoder": "#edae49"}


def draw_curves(
    runs: Sequence[Path],
    target: Path,
    *,
    value: str = "l2",
    label: str = "training error, squared, in [-1, 1]",
) -> None:
    """One panel a token count; a line is the mean over seeds, its band their range.

    ``value`` is the loss in the runs' logs, ``label`` what its axis says.
    """
    curves: dict[tuple[int, str], list[np.ndarray]] = defaultdict(list)
    for run in runs:
        config = load_config(TrainTokenizerConfig, [run / "config.yaml"])
        log = [(line["step"] * config.run.batch_size, line[value]) for line in read_log(run)]
        curves[config.tokenizer.num_tokens, config.tokenizer.text].append(_smooth(np.array(log)))
    budgets = sorted({tokens for tokens, _ in curves})
    figure = Figure(figsize=(5 * len(budgets), 3.6), layout="constrained")
    for tokens, axes in zip(
        budgets, figure.subplots(1, len(budgets), squeeze=False)[0], strict=True
    ):
        for (_, text), lines in sorted(item for item in curves.items() if item[0][0] == tokens):
            values = np.stack([line[:, 1] for line in lines])
            seen, colour = lines[0][:, 0], COLOURS[text]
            name = f"text: {text} ({len(lines)} seeds)"
            axes.plot(seen, values.mean(0), color=colour, label=name)
            axes.fill_between(seen, values.min(0), values.max(0), color=colour, alpha=0.2)
        axes.set(title=f"{tokens} tokens", xlabel="images seen", yscale="log")
        axes.set_ylabel(label)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(target, dpi=110)


def _smooth(points_n2: np.ndarray) -> np.ndarray:
    """Running means of both columns over WINDOW points."""
    width = min(WINDOW, len(points_n2))
    kernel = np.ones(width) / width
    return np.stack([np.convolve(column, kernel, "valid") for column in points_n2.T], axis=1)
