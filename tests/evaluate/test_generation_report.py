from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from textok.evaluate.generation_report import (
    ClipScores,
    GenerationReport,
    Scores,
    read_generation_report,
)
from textok.evaluate.memorisation import Memorisation
from textok.evaluate.text_alignment import Alignment, Retrieval
from textok.metrics.inception_score import InceptionScore
from textok.metrics.interval import Interval
from textok.metrics.precision_recall import PrecisionRecall


def interval(mean: float) -> Interval:
    return Interval(mean=mean, low=mean - 0.1, high=mean + 0.1)


def retrieval(at_1: float, at_5: float) -> Retrieval:
    return Retrieval(at_1=interval(at_1), at_5=interval(at_5))


BARE = Scores(pictures=20, frechet=12.3456, manifold=PrecisionRecall(precision=0.75, recall=1 / 3))
FULL = dataclasses.replace(
    BARE,
    inception=InceptionScore(mean=9.5, std=0.25),
    clip=ClipScores(drawn=interval(20.0), real=interval(25.0)),
    alignment=Alignment(
        candidates=100,
        drawn=retrieval(0.3, 0.5),
        real=retrieval(0.5, 0.9),
        shuffled=retrieval(0.1, 0.9),
        training_pairs=8000,
        strength=0.1,
    ),
    memorisation=Memorisation(
        training_images=40,
        drawn={"1 %": 0.1, "50 %": 0.3},
        real={"1 %": 0.2, "50 %": 0.4},
        closer=0.05,
    ),
)


def report(scores: Scores) -> GenerationReport:
    return GenerationReport(
        model="some/model",
        settings={"sampling": {"steps": 8}, "generator": {"classes": None}},
        metric="FD-EffLite0",
        protocol={"pictures": 20, "versions": {"torch": "2.6"}},
        scores=scores,
        warnings=["20 images are fewer than the 1280 features"],
    )


@pytest.mark.parametrize("scores", [BARE, FULL])
def test_report_survives_the_disk(scores: Scores, tmp_path: Path) -> None:
    report(scores).write(tmp_path)

    assert read_generation_report(tmp_path / "report.json") == report(scores)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_markdown_shows_what_was_measured() -> None:
    text = report(FULL).to_markdown()

    assert "| pictures | FD-EffLite0 ↓ | precision ↑ | recall ↑ | IS ↑ |" in text
    assert "| 20 | 12.346 | 0.7500 | 0.3333 | 9.50 ± 0.25 | 20.00 (19.90–20.10) |" in text
    assert "| drawn | 0.300 (0.200–0.400) | 0.500 (0.400–0.600) |" in text
    assert "| position of drawn | 0.50 | – |" in text  # (0.3 - 0.1) / (0.5 - 0.1); 0.9 = 0.9
    assert "| real held-out images | 0.2000 | 0.4000 |" in text
    assert "5.0 % of the drawn pictures are nearer than all but 1 % of the real ones" in text
    assert "- Warning: 20 images are fewer than the 1280 features" in text
    assert "- versions:\n  - torch: 2.6" in text
    assert "- sampling:\n  - steps: 8" in text


def test_markdown_leaves_out_what_was_not_measured() -> None:
    text = report(BARE).to_markdown()

    assert "| pictures | FD-EffLite0 ↓ | precision ↑ | recall ↑ |\n" in text
    assert "alignment" not in text
    assert "training" not in text


@pytest.mark.parametrize("content", [b"", b"[]", b'{"scores": {}}', b'{"rows": []}', b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"report\.json: not a report of `textok evaluate gener"):
        read_generation_report(path)
