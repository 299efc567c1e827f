from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from textok.evaluate.report import CodebookUse, Report, Row, read_report
from textok.metrics.interval import Interval


def row(source: str, tokens: int | None, *, frechet: float, psnr: float, floats: int = 8) -> Row:
    metrics = {"psnr": Interval(mean=psnr, low=psnr - 0.5, high=psnr + 0.5)}
    return Row(
        source=source,
        tokens=tokens,
        floats=floats,
        bits=16 * floats,
        frechet=frechet,
        metrics=metrics,
    )


def report(*rows: Row) -> Report:
    return Report(
        model="some/model",
        settings={"text": "both"},
        metric="FD-EffLite0",
        protocol={"images": 9, "versions": {"torch": "2.6"}},
        rows=list(rows),
        warnings=["9 images are fewer than the 1280 features"],
    )


TRUE, ABSENT = row("true", 4, frechet=10, psnr=20), row("absent", 4, frechet=12, psnr=19)


@pytest.mark.parametrize(
    ("pca", "passed"),
    [
        (row("pca", None, frechet=11, psnr=19.9), True),
        (row("pca", None, frechet=11, psnr=20.1), False),
        (row("pca", None, frechet=9, psnr=19.9), False),
    ],
)
def test_gate_asks_for_both_numbers(pca: Row, passed: bool) -> None:
    (gate,) = report(TRUE, ABSENT, pca).gates

    assert gate.passed is passed
    assert gate.psnr_gain == pytest.approx(20 - pca.metrics["psnr"].mean)
    assert gate.frechet_ratio == pytest.approx(10 / pca.frechet)


@pytest.mark.parametrize(("distance", "passed"), [(11, True), (9, False)])
def test_one_that_samples_passes_by_the_distance_alone(distance: float, passed: bool) -> None:
    rows = (TRUE, row("pca", None, frechet=distance, psnr=25))
    sampled = replace(report(*rows), settings={"text": "both", "decoding": "flow"})
    (gate,) = sampled.gates
    assert gate.passed is passed
    assert "at 8 floats, by the distance as it samples: " in sampled.to_markdown()
    assert "as it samples" not in report(*rows).to_markdown()


def test_a_report_of_one_network_without_a_note_is_read(tmp_path: Path) -> None:
    """As they were written before there were several."""
    path = tmp_path / "report.json"
    content = json.loads(report(TRUE, ABSENT).to_json())
    del content["trained_with"], content["not_comparable"]
    for each in content["rows"]:
        del each["other_frechet"]
    path.write_text(json.dumps(content))
    found = read_report(path)

    assert found == report(TRUE, ABSENT)
    assert (found.trained_with, found.not_comparable) == (["unknown"], [])


def test_gate_compares_equal_floats_alone() -> None:
    assert report(TRUE, row("pca", None, frechet=1, psnr=50, floats=16)).gates == []


def test_a_tokenizer_that_reads_no_text_is_judged_without() -> None:
    assert report(ABSENT).judged == [ABSENT]
    assert report(TRUE, ABSENT).judged == [TRUE]


def test_report_survives_the_disk(tmp_path: Path) -> None:
    written = report(TRUE, ABSENT, row("pca", None, frechet=11, psnr=19))
    written.write(tmp_path)

    assert read_report(tmp_path / "report.json") == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_markdown_shows_numbers_verdict_and_warnings() -> None:
    text = report(TRUE, row("pca", None, frechet=8, psnr=19)).to_markdown()

    assert "| 4 | true | 10.000 | 20.00 (19.50–20.50) | 8 | 128 |" in text
    assert "| PCA | – | 8.000 | 19.00 (18.50–19.50) | 8 | 128 |" in text
    assert "**not passed**" in text
    assert "PSNR +1.00 dB, FD-EffLite0 x 1.250" in text
    assert "- Warning: 9 images are fewer than the 1280 features" in text
    assert "- versions:\n  - torch: 2.6" in text


def test_codebook_use_is_shown_where_there_is_a_codebook(tmp_path: Path) -> None:
    use = CodebookUse(share=0.975, perplexity=50.25)
    found = report(replace(ABSENT, codebook=use), row("pca", None, frechet=8, psnr=19))
    text = found.to_markdown()

    assert "| codes used ↑ | perplexity ↑ | floats | bits |" in text
    assert "| 97.5 % | 50.2 | 8 | 128 |" in text
    assert "| – | – | 8 | 128 |" in text
    assert "perplexity" not in report(ABSENT).to_markdown()
    found.write(tmp_path)
    assert read_report(tmp_path / "report.json") == found


def test_reports_from_before_there_were_codes_are_read(tmp_path: Path) -> None:
    content = json.loads(report(ABSENT).to_json())
    del content["rows"][0]["codebook"]
    (tmp_path / "report.json").write_text(json.dumps(content))

    assert read_report(tmp_path / "report.json") == report(ABSENT)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"gates": [], "rows": [{}]}', b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"report\.json: not a report of `textok evaluate`"):
        read_report(path)
