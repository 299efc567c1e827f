from __future__ import annotations

from pathlib import Path

from studies.nested import steps_of, table
from textok.evaluate import Report
from textok.evaluate.report import Row
from textok.metrics.interval import Interval


def test_the_two_differ_by_nested_alone_and_one_is_measured_at_every_budget(read) -> None:
    plain, nested = (
        [read(step) for step in steps_of(kind, Path("data"), Path("runs"))]
        for kind in (False, True)
    )
    one, other = plain[0][1], nested[0][1]
    assert (one.tokenizer.nested, other.tokenizer.nested) == (False, True)
    assert one.tokenizer.num_tokens == other.tokenizer.num_tokens == 16
    assert (one.run.steps, one.run.seed) == (other.run.steps, other.run.seed)
    assert not plain[1][1].num_tokens and nested[1][1].num_tokens == (2, 4, 8, 16)


def test_the_cost_is_that_at_all_tokens() -> None:
    nested = _report({4: 30.0, 16: 11.0})
    text = table(_report({16: 10.0}), nested)
    assert "| nested | 4 | 30.0 | 60.0 | 20.00 | 18.00 |" in text
    assert "costs 10.0 % of FD-EffLite0, not under the 5 %" in text
    assert "costs 4.0 % of FD-EffLite0, under the 5 %" in table(
        _report({16: 10.0}), _report({16: 10.4})
    )


def _report(distances: dict[int, float]) -> Report:
    rows = []
    for tokens, distance in distances.items():
        for source, count, frechet, psnr in (
            ("true", tokens, distance, 20.0),
            ("pca", None, 2 * distance, 18.0),
        ):
            metrics = {"psnr": Interval(mean=psnr, low=psnr, high=psnr)}
            rows.append(
                Row(
                    source=source,
                    tokens=count,
                    floats=8 * tokens,
                    bits=128 * tokens,
                    frechet=frechet,
                    metrics=metrics,
                )
            )
    return Report(model="m", settings={}, metric="FD-EffLite0", protocol={}, rows=rows, warnings=[])
