"""How much lower a distance is with the caption, in percent of the distance without it.

What was not measured is None everywhere, as in the JSON that these go into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from studies.pairs.study import PAIR
from studies.text_gain import Member

Distances = Mapping[Member, Mapping[str, float]]
"""Frechet distances of each tokenizer, or of the generator on it, by the name of the metric."""


def gain(without: float | None, with_text: float | None) -> float | None:
    """100 (without - with) / without."""
    if without is None or with_text is None:
        return None
    return 100 * (without - with_text) / without


def mean(values: Iterable[float | None]) -> float | None:
    """Over what was measured."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def gains(
    found: Distances, *, metrics: Sequence[str], tokens: Sequence[int], seeds: Sequence[int]
) -> dict[str, Any]:
    """For each metric the ``mean`` over K of the means over seeds, and each of these.

    A seed counts where both of its pair were measured.
    """
    return {metric: _gains(found, metric, tokens, seeds) for metric in metrics}


def _gains(
    found: Distances, metric: str, tokens: Sequence[int], seeds: Sequence[int]
) -> dict[str, Any]:
    by_tokens = {}
    for count in tokens:
        by_seed = {
            str(seed): gain(*(_distance(found, metric, count, text, seed) for text in PAIR))
            for seed in seeds
        }
        by_tokens[str(count)] = {"mean": mean(by_seed.values()), "by_seed": by_seed}
    means = [each["mean"] for each in by_tokens.values()]
    return {"mean": mean(means), "by_tokens": by_tokens}  # type: ignore[arg-type]


def doubled(
    found: Distances, *, metrics: Sequence[str], tokens: Sequence[int], seeds: Sequence[int]
) -> dict[str, Any]:
    """Gain of K tokens with the caption over 2K without it, by metric and K, over common seeds."""
    pairs = [count for count in sorted(tokens) if 2 * count in tokens]
    return {
        metric: {
            str(count): mean(
                gain(
                    _distance(found, metric, 2 * count, "none", seed),
                    _distance(found, metric, count, "both", seed),
                )
                for seed in seeds
            )
            for count in pairs
        }
        for metric in metrics
    }


def one_sided(
    found: Distances, *, metrics: Sequence[str], tokens: int, seeds: Sequence[int]
) -> dict[str, Any]:
    """Gain with the caption in one side alone, by metric and side."""
    return {
        metric: {
            text: mean(
                gain(
                    _distance(found, metric, tokens, "none", seed),
                    _distance(found, metric, tokens, text, seed),
                )
                for seed in seeds
            )
            for text in ("encoder", "decoder")
        }
        for metric in metrics
    }


def _distance(found: Distances, metric: str, tokens: int, text: str, seed: int) -> float | None:
    return found.get(Member(tokens=tokens, text=text, seed=seed), {}).get(metric)
