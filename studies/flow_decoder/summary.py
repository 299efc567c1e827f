"""``summary.json``: both decoders at equal tokens, with the caption and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.flow_decoder.budgets import FEW, Decoder
from studies.flow_decoder.nested import nested_runs
from studies.pairs.found import Entry, generator_entry, judged, tokenizer_entry
from studies.pairs.gains import gain, mean
from studies.pairs.nested import nested_entry
from studies.pairs.study import PAIR, Study, every_generator, members
from studies.pairs.summary import read_hardware

GOALS = {"fd_ratio": 0.5, "caption_gain_percent": 29.2}
"""Flow's distance over regression's at most, and the gain by the caption at least, for K <= 8."""
MEAN = f"mean_k_le_{FEW}"
Distances = Mapping[tuple[int, str], float]
"""By K and place of the text."""


def summary(
    studies: Mapping[Decoder, Study], runs: Path, commands: Sequence[str]
) -> dict[str, Any]:
    """Everything that was measured; None for what was not.

    The numbers at the top are those of the first network, distances with the caption.
    """
    entries = {name: _tokenizers(study) for name, study in studies.items()}
    every = [entry for some in entries.values() for entry in some]
    metrics = list(dict.fromkeys(name for entry in every for name in judged(entry)))
    tokens = sorted({entry["tokens"] for entry in every})
    networks = {
        metric: comparison(
            {name: _distances(some, metric) for name, some in entries.items()}, tokens
        )
        for metric in metrics
    }
    first = networks[metrics[0]] if metrics else {}

    def top(name: str) -> float | None:
        return first[name][MEAN] if first else None

    return {
        f"fd_flow_{MEAN}": top("fd_flow_both"),
        f"fd_regression_{MEAN}": top("fd_regression_both"),
        f"fd_ratio_{MEAN}": top("fd_ratio"),
        f"caption_gain_percent_{MEAN}": top("caption_gain_percent_flow"),
        f"caption_gain_percent_regression_{MEAN}": top("caption_gain_percent_regression"),
        "metric": metrics[0] if metrics else None,
        "goals": GOALS,
        "networks": networks,
        "nested": nested_entry(nested_runs(studies["flow"])),
        "hardware": read_hardware(runs),
        "commands": list(commands),
        "decoders": {
            name: {"tokenizers": entries[name], "generators": _generators(study)}
            for name, study in studies.items()
        },
    }


def comparison(fd: Mapping[Decoder, Distances], tokens: Sequence[int]) -> dict[str, Any]:
    """Of one network: distances by decoder and text, gains by the caption, flow over regression.

    Each by K, and its mean over those K <= 8 at which both decoders were measured with the caption.
    """
    found: dict[str, dict[int, float | None]] = {}
    for name, distances in fd.items():
        none, both = ({k: distances.get((k, text)) for k in tokens} for text in PAIR)
        found |= {f"fd_{name}_none": none, f"fd_{name}_both": both}
        found[f"caption_gain_percent_{name}"] = {k: gain(none[k], both[k]) for k in tokens}
    flow, regression = found["fd_flow_both"], found["fd_regression_both"]
    found["fd_ratio"] = {k: _ratio(flow[k], regression[k]) for k in tokens}
    few = [k for k in tokens if k <= FEW and found["fd_ratio"][k] is not None]
    return {
        name: {
            MEAN: mean(values[k] for k in few),
            "by_tokens": {str(k): value for k, value in values.items()},
        }
        for name, values in found.items()
    }


def _tokenizers(study: Study) -> list[Entry]:
    found = (tokenizer_entry(member, study) for member in members(study.budget))
    return [entry for entry in found if entry]


def _generators(study: Study) -> list[Entry]:
    found = (generator_entry(generator, study) for generator in every_generator(study))
    return [entry for entry in found if entry]


def _distances(entries: Sequence[Entry], metric: str) -> Distances:
    """The mean over seeds of each K and text."""
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for entry in entries:
        values[entry["tokens"], entry["text"]].append(judged(entry)[metric])
    return {place: sum(several) / len(several) for place, several in values.items()}


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value is not None and other else None
