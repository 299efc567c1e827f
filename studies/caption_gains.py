"""What makes a caption pay: the gains of all studies that compare with and without, in one place.

Reads what the studies have written; trains nothing.

    python -m studies.caption_gains
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from matplotlib.figure import Figure

from studies.notes import write_noted
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import atomic_write

PAPER = 29.2
"""Per cent of FID on ImageNet at 256 px, the mean over 32 to 256 tokens (arXiv 2412.05796)."""
REGRESSION = {"products": "products", "photographs": "photographs"}
"""Folder of each study of decoders that predict, and its data."""
HEADS = ("tokenizer", "tokens", "seeds")
ABOUT = """How much lower the Frechet distance of reconstructions is with the caption than
without, in per cent of the distance without: two trainings of equal length each, by all studies
that compare them. In [the paper](../../faithfulness.md) it is 29.2 % on ImageNet, of FID;
FD-EffLite0 is no FID (docs/evaluation.md)."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Of one pair of tokenizers at one number of tokens."""

    label: str
    tokens: int
    seeds: int
    percent: Mapping[str, float | None]
    """By the name of the metric."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One table and one plot of all gains by the caption that were measured."""

    results: Path = Path("docs/results")
    """Folder of the studies' results."""
    out: Path = Path("docs/results/caption-gains")


def regression_gains(found: Mapping[str, Any], data: str) -> Iterator[Gain]:
    """Of a study of pairs: text in both sides at each K, then in one side."""
    gains = found["tokenizer_fd_gain_percent"]
    for count in next(iter(gains.values()))["by_tokens"]:
        by_seed = [each["by_tokens"][count]["by_seed"] for each in gains.values()]
        seeds = sum(value is not None for value in by_seed[0].values())
        percent = {name: each["by_tokens"][count]["mean"] for name, each in gains.items()}
        yield Gain(label=data, tokens=int(count), seeds=seeds, percent=percent)
    sides = found["one_sided_gain_percent"]
    for side in ("encoder", "decoder"):
        percent = {name: each[side] for name, each in sides.items()}
        tokens = {one["tokens"] for one in found["tokenizers"] if one["text"] == side}
        seeds = sum(one["text"] == side for one in found["tokenizers"])
        for count in tokens:
            label = f"{data}, {side} alone"
            yield Gain(label=label, tokens=count, seeds=seeds, percent=percent)


def flow_gains(found: Mapping[str, Any]) -> Iterator[Gain]:
    """Of the study of decoders: regression with a discriminator, flow, and nested flow."""
    kinds = {"regression": "photographs, discriminator", "flow": "photographs, flow"}
    for decoder, label in kinds.items():
        name = f"caption_gain_percent_{decoder}"
        tables = {metric: table[name]["by_tokens"] for metric, table in found["networks"].items()}
        for count in next(iter(tables.values()), {}):
            percent = {metric: table[count] for metric, table in tables.items()}
            yield Gain(label=label, tokens=int(count), seeds=1, percent=percent)
    nested = found.get("nested") or {"gain_percent": {}}
    for way, by_tokens in nested["gain_percent"].items():
        label = "photographs, nested flow"
        label += "" if way == "both" else f", guidance {nested['guidance']}"
        for count, percent in by_tokens.items():
            yield Gain(label=label, tokens=int(count), seeds=1, percent=percent)


def measured(results: Path) -> list[Gain]:
    """What the studies under ``results`` have measured. Raises OSError if one has no summary."""
    found = [
        gain
        for folder, data in REGRESSION.items()
        for gain in regression_gains(_summary(results / folder), data)
    ]
    found += flow_gains(_summary(results / "flow-decoder"))
    return [gain for gain in found if any(value is not None for value in gain.percent.values())]


def _summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def write(gains: Sequence[Gain], out: Path) -> None:
    """``README.md`` and ``gains.png``; what is written by hand below the table stays."""
    metrics = list(dict.fromkeys(name for gain in gains for name in gain.percent))
    rows = [
        [gain.label, str(gain.tokens), str(gain.seeds), *(_shown(gain, name) for name in metrics)]
        for gain in gains
    ]
    heads = [*HEADS, *(f"{name} lower by %" for name in metrics)]
    parts = ["# What makes a caption pay", ABOUT, "    python -m studies.caption_gains"]
    parts += ["![gains.png](gains.png)", "\n".join(markdown_table(heads, rows))]
    out.mkdir(parents=True, exist_ok=True)
    _plot(gains, metrics[0], out / "gains.png")
    write_noted(out / "README.md", "\n\n".join(parts) + "\n")


def _shown(gain: Gain, metric: str) -> str:
    value = gain.percent.get(metric)
    return "–" if value is None else f"{value:.1f}"


def _plot(gains: Sequence[Gain], metric: str, path: Path) -> None:
    """Gains against tokens, a line for each kind of tokenizer."""
    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    counts = sorted({gain.tokens for gain in gains})
    for label in dict.fromkeys(gain.label for gain in gains):
        known = sorted(
            (counts.index(gain.tokens), gain.percent[metric])
            for gain in gains
            if gain.label == label and gain.percent.get(metric) is not None
        )
        axes.plot(*zip(*known, strict=True), "o-", label=label)
    axes.axhline(PAPER, color="black", linestyle="--", linewidth=1, label="paper, ImageNet, FID")
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlabel("tokens")
    axes.set_ylabel(f"{metric} lower by %")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def main(settings: Settings) -> None:
    """Collect and write."""
    try:
        write(measured(settings.results), settings.out)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"caption_gains: error: {error}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
