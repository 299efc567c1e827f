"""``summary.json``: both decoders at equal tokens, with the caption and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.flow_decoder.budgets import FEW, TOKENS, Decoder
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
    studies: Mapping[Decoder, Study], nested: int, runs: Path, commands: Sequence[str]
) -> dict[str, Any]:
    """Everything that was measured; None for what was not.

    The numbers at the top are those of the first network, distances with the caption; of nested
    tokenizers of so many tokens, unless the others were measured at all K <= 8.
    """
    entries = {name: _tokenizers(study) for name, study in studies.items()}
    pairs = {name: nested_entry(nested_runs(study, nested)) for name, study in studies.items()}
    networks = _networks({name: _of_each(some) for name, some in entries.items()})
    nested_networks = _networks({name: _of_nested(pair) for name, pair in pairs.items()})
    found, by = (networks, "tokenizers of K tokens each")
    if nested_networks and not _is_whole(networks):
        found, by = (nested_networks, "nested tokenizers")
    first: Mapping[str, Any] = next(iter(found.values()), {})

    def top(name: str) -> float | None:
        return first[name][MEAN] if first else None

    return {
        f"fd_flow_{MEAN}": top("fd_flow_both"),
        f"fd_regression_{MEAN}": top("fd_regression_both"),
        f"fd_ratio_{MEAN}": top("fd_ratio"),
        f"caption_gain_percent_{MEAN}": top("caption_gain_percent_flow"),
        f"caption_gain_percent_regression_{MEAN}": top("caption_gain_percent_regression"),
        "metric": next(iter(found), None),
        "compared": by,
        "goals": GOALS,
        "networks": networks,
        "nested_networks": nested_networks,
        "nested": pairs if any(pairs.values()) else None,
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


def _networks(fd: Mapping[Decoder, Mapping[str, Distances]]) -> dict[str, Any]:
    """The comparison in each feature network in which anything was measured."""
    metrics = dict.fromkeys(metric for by_metric in fd.values() for metric in by_metric)
    tokens = sorted({k for each in fd.values() for some in each.values() for k, _ in some})
    return {
        metric: comparison({name: each.get(metric, {}) for name, each in fd.items()}, tokens)
        for metric in metrics
    }


def _of_each(entries: Sequence[Entry]) -> dict[str, Distances]:
    """By network: the mean over seeds of each K and text."""
    values: dict[str, dict[tuple[int, str], list[float]]] = {}
    for entry in entries:
        for metric, distance in judged(entry).items():
            place = values.setdefault(metric, defaultdict(list))
            place[entry["tokens"], entry["text"]].append(distance)
    return {
        metric: {place: sum(several) / len(several) for place, several in by_place.items()}
        for metric, by_place in values.items()
    }


def _of_nested(pair: Entry | None) -> Mapping[str, Distances]:
    """By network; of no token there is nothing to compare."""
    values: dict[str, dict[tuple[int, str], float]] = {}
    for text in PAIR:
        for count, row in (pair or {}).get(text, {}).items():
            for metric, distance in row["frechet"].items():
                if int(count):
                    values.setdefault(metric, {})[int(count), text] = distance
    return values


def _is_whole(networks: Mapping[str, Any]) -> bool:
    """Whether both decoders were compared at every K up to 8."""
    few = [str(k) for k in TOKENS if k <= FEW]
    return bool(networks) and all(
        table["fd_ratio"]["by_tokens"].get(k) is not None
        for table in networks.values()
        for k in few
    )


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value is not None and other else None
