"""What makes a caption pay: the gains of all studies that compare with and without, in one place.

Reads what the studies have written; trains nothing.

    python -m studies.caption_gains
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from studies.command import refuse, run_command
from studies.notes import write_noted
from studies.pairs.gains import gain, mean
from studies.pairs.nested import GUIDANCE, rows_of
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import atomic_write

WAYS = {"two": "two trainings", "within": "within one"}
"""What is compared, and what it is called."""
PAPER = 29.2
"""Per cent of FID on ImageNet at 256 px, the mean over 32 to 256 tokens (arXiv 2412.05796)."""
ALONE = {"both": "true", "absent": "absent"}
"""Rows of a nested tokenizer's report, as those of a pair; it has no partner."""
HEADS = ("tokenizer", "tokens", "seeds")
ABOUT = """How much lower the Frechet distance of reconstructions is with the caption than
without, in per cent of the distance without, by all studies that compare them. Of two trainings: of
equal length, one with the caption and one without; the difference holds what any two trainings
differ by. Within one: the same tokenizer with the caption and with none, which it has seen in a
share of its training images. In [the paper](../../faithfulness.md) it is 29.2 % on ImageNet, of FID
and of two trainings; FD-EffLite0 is no FID (docs/evaluation.md)."""
Percent = Mapping[str, float | None]
"""By the name of the metric."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Of tokenizers of one kind at one number of tokens, means over seeds."""

    label: str
    tokens: int
    seeds: int
    two: Percent
    """Of two trainings."""
    within: Percent
    """Of one."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One table and one plot of all gains by the caption that were measured."""

    results: Path = Path("docs/results")
    """Folder of the studies' results."""
    out: Path = Path("docs/results/caption-gains")


def gains_of(entries: Sequence[Mapping[str, Any]], label: str) -> Iterator[Gain]:
    """Of tokenizers as studies list them, by the place of the text and K."""
    none = {(e["tokens"], e["seed"]): _frechet(e, "absent") for e in entries if e["text"] == "none"}
    for text, place in (
        ("both", ""),
        ("encoder", ", encoder alone"),
        ("decoder", ", decoder alone"),
    ):
        read = [entry for entry in entries if entry["text"] == text]
        for tokens in sorted({entry["tokens"] for entry in read}):
            here = [entry for entry in read if entry["tokens"] == tokens]
            true = [_frechet(entry, "true") for entry in here]
            yield Gain(
                label=label + place,
                tokens=tokens,
                seeds=len(here),
                two=_means([none.get((tokens, entry["seed"]), {}) for entry in here], true),
                within=_means([_frechet(entry, "absent") for entry in here], true),
            )


def _frechet(entry: Mapping[str, Any], captions: str) -> Percent:
    found: Percent = entry["captions"].get(captions, {}).get("frechet", {})
    return found


def _means(without: Sequence[Percent], with_text: Sequence[Percent]) -> Percent:
    """The gain in each metric, the mean over what was measured both ways."""
    pairs = list(zip(without, with_text, strict=True))
    metrics = dict.fromkeys(name for each in with_text for name in each)
    return {name: mean(gain(a.get(name), b.get(name)) for a, b in pairs) for name in metrics}


def nested_gains(nested: Mapping[str, Any], label: str) -> Iterator[Gain]:
    """Of a nested pair, by the number of tokens decoded from; with guidance, too."""
    for way, name in (("both", ""), ("guided", f", guidance {GUIDANCE}")):
        for count, row in nested.get(way, {}).items():
            true, absent = row["frechet"], nested["absent"].get(count, {}).get("frechet", {})
            none = nested.get("none", {}).get(count, {}).get("frechet", {})
            yield Gain(
                label=label + name,
                tokens=int(count),
                seeds=1,
                two=_means([none], [true]),
                within=_means([absent], [true]),
            )


def measured(results: Path) -> list[Gain]:
    """What the studies under ``results`` have measured. Raises OSError if one has no summary."""
    found = list(gains_of(_summary(results / "products")["tokenizers"], "products"))
    for folder, label in (("products/nested", "nested"), ("bundled-tokenizer/test", "bundled")):
        alone = {way: rows_of(results / folder, source) for way, source in ALONE.items()}
        found += nested_gains(alone, f"products, {label}")
    found += nested_gains(_summary(results / "flow-products")["nested"], "products, flow")
    found += gains_of(_summary(results / "photographs")["tokenizers"], "photographs")
    flow = _summary(results / "flow-decoder")
    for decoder, kind in (("regression", "discriminator"), ("flow", "flow")):
        found += gains_of(flow["decoders"][decoder]["tokenizers"], f"photographs, {kind}")
    for decoder, pair in (flow["nested"] or {}).items():
        found += nested_gains(pair or {}, f"photographs, nested {decoder}")
    found += nested_gains(_summary(results / "ten-classes")["nested"], "ten classes, nested flow")
    return found


def _summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def write(gains: Sequence[Gain], out: Path) -> None:
    """``README.md`` and ``gains.png``; what is written by hand below the table stays."""
    metrics = list(dict.fromkeys(name for one in gains for name in one.within))
    rows = []
    for one in gains:
        percents = [one.two.get(name) for name in metrics]
        percents += [one.within.get(name) for name in metrics]
        rows.append([one.label, str(one.tokens), str(one.seeds), *map(_shown, percents)])
    heads = [*HEADS, *(f"{name}: two trainings" for name in metrics)]
    heads += [f"{name}: within one" for name in metrics]
    parts = ["# What makes a caption pay", ABOUT, "    python -m studies.caption_gains"]
    parts += ["![gains.png](gains.png)", "\n".join(markdown_table(heads, rows))]
    out.mkdir(parents=True, exist_ok=True)
    _plot(gains, metrics[0], out / "gains.png")
    write_noted(out / "README.md", "\n\n".join(parts) + "\n")


def _shown(percent: float | None) -> str:
    return "–" if percent is None else f"{percent:.1f}"


def _plot(gains: Sequence[Gain], metric: str, path: Path) -> None:
    """Gains against tokens, a line for each kind of tokenizer and a row for each data set."""
    counts = sorted({one.tokens for one in gains})
    sets = list(dict.fromkeys(_split(one.label)[0] for one in gains))
    figure = Figure(figsize=(9, 3 * len(sets)), dpi=90, layout="constrained")
    panels = figure.subplots(len(sets), len(WAYS), sharex=True, sharey=True, squeeze=False)
    for row, name in zip(panels, sets, strict=True):
        own = [one for one in gains if _split(one.label)[0] == name]
        for axes, (way, title) in zip(row, WAYS.items(), strict=True):
            for label in dict.fromkeys(one.label for one in own):
                known = [
                    (counts.index(one.tokens), percent)
                    for one in own
                    if one.label == label and (percent := getattr(one, way).get(metric)) is not None
                ]
                places, percents = [one[0] for one in known], [one[1] for one in known]
                axes.plot(places, percents, "o-", label=_split(label)[1])
            axes.axhline(PAPER, color="black", linestyle="--", linewidth=1, label="paper")
            axes.axhline(0, color="black", linewidth=0.5)
            axes.set_xticks(range(len(counts)), [str(count) for count in counts])
            axes.set_title(f"{name}: {title}", fontsize="medium")
            axes.grid(visible=True, alpha=0.3)
        row[0].set_ylabel(f"{metric} lower by %")
        row[-1].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in panels[-1]:
        axes.set_xlabel("tokens")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _split(label: str) -> tuple[str, str]:
    """The data set, and the kind of tokenizer."""
    name, _, kind = label.partition(", ")
    return name, kind or "regression"


def main(settings: Settings) -> None:
    """Collect and write."""
    try:
        write(measured(settings.results), settings.out)
    except (OSError, KeyError, ValueError) as error:
        refuse(f"caption_gains: {error}")


if __name__ == "__main__":
    run_command(main, "studies.caption_gains", settings=Settings)
