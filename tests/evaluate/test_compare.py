from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from textok.evaluate.compare import SAME, compare_reports
from textok.evaluate.report import Report, Row, read_report
from textok.metrics.interval import Interval


def write(
    folder: Path, text: str, numbers: dict[int, float], *, images: int = 9, **settings: str
) -> Path:
    """A report of a tokenizer with text at ``text`` and one distance a token count."""
    psnr = {"psnr": Interval(mean=20.0, low=19.0, high=21.0)}
    source = "absent" if text == "none" else "true"
    rows = [
        Row(source=name, tokens=k, floats=8 * k, bits=128 * k, frechet=value * times, metrics=psnr)
        for k, value in numbers.items()
        for name, times in {source: 1.0, "absent": 1.0 if text == "none" else 2.0}.items()
    ]
    pca = {"psnr": Interval(mean=19.0, low=18.0, high=20.0)}
    rows.append(Row(source="pca", tokens=None, floats=16, bits=256, frechet=45.0, metrics=pca))
    folder.mkdir()
    Report(
        model=folder.name,
        settings={"text": text, **settings},
        metric="FD-EffLite0",
        protocol={name: images if name == "images" else name for name in SAME},
        rows=rows,
        warnings=[],
    ).write(folder)
    return folder / "report.json"


def test_tables_by_hand(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "none-0", "none", {2: 40.0, 4: 20.0}),
        write(tmp_path / "none-1", "none", {2: 50.0, 4: 30.0}),
        write(tmp_path / "both-0", "both", {2: 20.0, 4: 15.0}),
        write(tmp_path / "both-1", "both", {2: 40.0, 4: 15.0}),
    ]
    text = compare_reports(paths, tmp_path / "out")

    # Gains at K = 2: 1 - 20/40 and 1 - 40/50; at K = 4: 1 - 15/20 and 1 - 15/30.
    assert "| 2 | both | 35.0 (20.0 to 50.0) | no |" in text  # 30 on average, the baseline 25 at 4
    assert "| 4 | both | 37.5 (25.0 to 50.0) | – |" in text
    assert "| mean | both | 36.2 | – |" in text
    assert "| 2 | none | 2 | 45.000 (40.000 to 50.000) | 20.00 (20.00 to 20.00) | failed |" in text
    assert "| 2 | both | 2 | 30.000 (20.000 to 40.000) | 20.00 (20.00 to 20.00) | passed |" in text
    assert (
        "| 4 | both | 2 | 15.000 (15.000 to 15.000) | 20.00 (20.00 to 20.00) | not tested" in text
    )
    assert "| 2 | both | 30.000 (20.000 to 40.000) | 60.000 (40.000 to 80.000) |" in text
    assert (tmp_path / "out" / "comparison.md").read_text() == text
    assert Image.open(tmp_path / "out" / "comparison.png").size == (900, 600)


def test_what_one_was_trained_against_is_marked(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "none", {2: 40.0}) for name in ("one", "two")]
    for path, other, flagged in zip(paths, (3.0, 5.0), ([], ["FD-VGG16"]), strict=True):
        report = read_report(path)
        rows = [replace(row, other_frechet={"FD-VGG16": other}) for row in report.rows]
        replace(report, rows=rows, not_comparable=flagged).write(path.parent)
    text = compare_reports(paths, tmp_path / "out")

    assert "| seeds | FD-EffLite0 ↓ | FD-VGG16 ↓ † | PSNR dB ↑ | gate |" in text
    assert "| 2 | 40.000 (40.000 to 40.000) | 4.000 (3.000 to 5.000) |" in text
    assert "| PCA, 16 floats | – | – | 45.000 | 5.000 | 19.00 | – |" in text
    assert "† in a network that the model was trained against" in text
    unmarked = compare_reports(paths[:1], tmp_path / "out")
    assert "| FD-VGG16 ↓ | PSNR" in unmarked
    assert "†" not in unmarked


def test_discrete_tokenizers_are_no_seeds_of_the_baseline(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "none", "none", {2: 40.0}, bottleneck="kl", output="pixels"),
        write(tmp_path / "vq", "none", {2: 30.0}, bottleneck="vq", output="pixels"),
        write(tmp_path / "two-stage", "none", {2: 50.0}, bottleneck="vq", output="codes"),
    ]
    text = compare_reports(paths, tmp_path / "out")

    assert "| 2 | none | 1 | 40.000 |" in text
    assert "| 2 | none, vq | 25.0 | – |" in text  # 1 - 30/40
    assert "| 2 | none, vq, codes | -25.0 | – |" in text


def test_models_that_are_no_seeds_of_one_are_told(tmp_path: Path) -> None:
    same = {"num_tokens": "2", "channels": "8"}
    paths = [
        write(tmp_path / "one", "both", {2: 40.0}, **same),
        write(tmp_path / "seed", "both", {2: 30.0}, **same | {"num_tokens": "4"}),
        write(tmp_path / "wider", "both", {2: 20.0}, **same | {"channels": "16"}),
    ]
    told = "both, 2 tokens: not seeds of one model, they differ in channels."
    assert told not in compare_reports(paths[:2], tmp_path / "seeds")
    assert told in compare_reports(paths, tmp_path / "out").splitlines()
    with pytest.raises(ValueError, match=r"one.report\.json: named twice"):
        compare_reports(paths[:1] * 2, tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_reports_of_different_protocols_do_not_compare(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "one", "none", {2: 1.0}),
        write(tmp_path / "other", "both", {2: 1.0}, images=8),
    ]
    with pytest.raises(ValueError, match="images is 8, but 9 in"):
        compare_reports(paths, tmp_path / "out")


@pytest.mark.parametrize("name", ["decoding", "FD-DINOv2"])
def test_what_some_reports_lack_is_the_same_in_those_that_have_it(
    tmp_path: Path, name: str
) -> None:
    paths = [write(tmp_path / folder, "none", {2: 1.0}) for folder in ("lacks", "one", "other")]
    for path in paths[1:]:
        report = read_report(path)
        said = {name: f"as {path.parent.name}"}
        own = said if name == "decoding" else {"other feature networks": said}
        replace(report, protocol=report.protocol | own).write(path.parent)

    for pair in (paths[:2], paths[::2]):
        compare_reports(pair, tmp_path / "out")
    with pytest.raises(ValueError, match=f"{name} is 'as other', but 'as one' in .*one/report"):
        compare_reports(paths, tmp_path / "out")


def test_reports_without_a_precision_are_of_fp32(tmp_path: Path) -> None:
    old, fp32, bf16 = (write(tmp_path / name, "none", {2: 1.0}) for name in ("old", "fp32", "bf16"))
    for path in (old, fp32, bf16):
        report = read_report(path)
        said = {"precision": f"{path.parent.name}; feature networks and metrics in float32"}
        protocol = {name: report.protocol[name] for name in SAME if name != "precision"}
        replace(report, protocol=protocol | ({} if path == old else said)).write(path.parent)

    assert compare_reports([old, fp32], tmp_path / "out") == compare_reports(
        [fp32, old], tmp_path / "out"
    )
    for paths in ([old, bf16], [fp32, bf16]):
        with pytest.raises(ValueError, match=r"precision is 'bf16; .*', but 'fp32; .*' in .*/"):
            compare_reports(paths, tmp_path / "out")
