"""Whether images are copies: how near the nearest training images are, against real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textok.runtime.files import atomic_write

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class Memorisation:
    """Cosine distances to the nearest of the training images."""

    training_images: int
    drawn: dict[str, float]
    """Quantile and distance, of the generated images."""
    real: dict[str, float]
    """The same of real images that are not in training: what no copying looks like."""
    closer: float
    """Share of the generated images nearer than all but 1 % of the real ones; 0.01 by chance."""


def memorisation(drawn_n: Tensor, real_n: Tensor, *, training_images: int) -> Memorisation:
    """Sum up the distances of generated images and of held-out images to their nearest."""
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    drawn, real = (torch.quantile(part.double(), levels) for part in (drawn_n, real_n))
    return Memorisation(
        training_images=training_images,
        drawn=_named(drawn),
        real=_named(real),
        closer=float((drawn_n.double() < real[0]).double().mean()),
    )


def plot_distances(drawn_n: Tensor, real_n: Tensor, path: Path) -> None:
    """Histograms of the distances to the nearest training image; nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    top = float(torch.cat([drawn_n, real_n]).max())
    for label, values in {"drawn pictures": drawn_n, "real held-out images": real_n}.items():
        # One outline takes half the time of forty bars.
        shape: dict[str, Any] = {"bins": 40, "range": (0, top), "histtype": "stepfilled"}
        axes.hist(values.tolist(), **shape, density=True, alpha=0.6, label=label)
    axes.set(xlabel="cosine distance to the nearest training image", ylabel="density")
    axes.legend(frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _named(values: Tensor) -> dict[str, float]:
    return {f"{100 * q:g} %": float(v) for q, v in zip(QUANTILES, values, strict=True)}
