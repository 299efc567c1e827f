"""The Frechet distance over the token count, as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textok.runtime.files import atomic_write


def plot_frechet(
    metric: str, values: Mapping[tuple[str, int], Sequence[float]], folder: Path
) -> Path:
    """Draw one line a place of the text over its token counts, mean and range over seeds.

    ``values`` maps (place, tokens) to one distance a seed. Writes ``folder/comparison.png``.
    Raises ValueError where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("the plot needs matplotlib: install textok[train]") from error

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for place in sorted({place for place, _ in values}):
        tokens = sorted(count for other, count in values if other == place)
        each = [values[place, count] for count in tokens]
        means = [sum(several) / len(several) for several in each]
        below = [mean - min(several) for mean, several in zip(means, each, strict=True)]
        above = [max(several) - mean for mean, several in zip(means, each, strict=True)]
        axes.errorbar(tokens, means, (below, above), marker="o", capsize=3, label=f"text: {place}")
    counts = sorted({count for _, count in values})
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(xlabel="latent tokens", ylabel=f"{metric} (lower is better)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path = folder / "comparison.png"
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
