from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from textok.config.datasets import PictogramsConfig
from textok.datasets.pictograms import Summary, build_pictograms
from textok.datasets.pictograms.concepts import concept_label
from textok.datasets.pictograms.packages import PACKAGES

SPLITS = ("train", "val", "test", "test_seen")
Rows = dict[str, dict[str, object]]


def digests(out: Path) -> dict[str, str]:
    """Every visible file by its path."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".build" not in path.parts
    }


def rows(out: Path, split: str) -> Rows:
    lines = (out / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def build(out: Path, **settings: Any) -> Summary:
    return build_pictograms(PictogramsConfig(out=out, **settings), progress=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tarballs: Path) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("build") / "out"
    return out, build(out, size=64, tarballs=tarballs)


def test_counts(built: tuple[Path, Summary]) -> None:
    out, summary = built
    # 98 drawings: one broken, one of the two flags drawn alike is dropped.
    assert sum(sum(styles.values()) for styles in summary.pictures.values()) == 96
    assert summary.exact_duplicates == 1
    assert summary.near_duplicates == 0
    assert summary.failures == {"twemoji-1f44b": summary.failures["twemoji-1f44b"]}
    assert "ValueError" in summary.failures["twemoji-1f44b"]
    assert (summary.concepts_by_name, summary.concepts) == (18 + 4, 18 + 3)
    assert json.loads((out / "summary.json").read_text())["pictures"] == summary.pictures
    for split in SPLITS:
        files = {path.name for path in (out / split).glob("*.webp")}
        assert files == {row["file_name"] for row in rows(out, split).values()}
        assert len(files) == sum(summary.pictures[split].values())


def test_no_concept_and_no_label_crosses_the_splits(built: tuple[Path, Summary]) -> None:
    concepts: list[set[object]] = []
    labels: list[set[str]] = []
    for splits in (("train", "test_seen"), ("val",), ("test",)):
        found = [row for split in splits for row in rows(built[0], split).values()]
        assert found
        concepts.append({row["concept"] for row in found})
        labels.append({concept_label(str(row["title"])) for row in found})
    for groups in (concepts, labels):
        assert len(set().union(*groups)) == sum(len(group) for group in groups)


def test_metadata_of_one_concept(built: tuple[Path, Summary]) -> None:
    every = {key: row for split in SPLITS for key, row in rows(built[0], split).items()}
    hands = {key: row for key, row in every.items() if row["concept"] == "1f44b"}
    assert {key: row["core"] for key, row in hands.items()} == {
        "noto-waving-hand": True,
        "openmoji-1f44b": True,
        "openmoji-1f44b-1f3ff": False,
        "openmoji-e001": True,
    }
    row = hands["openmoji-1f44b-1f3ff"]
    assert list(row)[:3] == ["file_name", "captions", "label"]
    assert row["label"] == row["subgroup"] == "tool"
    assert row["group"] == "objects"
    assert row["licence"] == "CC-BY-SA-4.0"
    assert row["keywords"] == ["gadget"]
    full, plain = row["captions"]
    assert "waving hand with dark skin tone" in full
    assert "OpenMoji style" in plain
    assert hands["noto-waving-hand"]["title"] == "waving hand"
    assert hands["noto-waving-hand"]["group"] == "other"


def test_pictures_are_lossless_squares(built: tuple[Path, Summary], tarballs: Path) -> None:
    out = built[0]
    for path in out.rglob("*.webp"):
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((64, 64), "RGB")
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.size == (20 * 68 + 4, 4 * (5 * 68 + 14))


def test_a_run_with_other_workers_and_a_continued_run_write_the_same_bytes(
    built: tuple[Path, Summary], tarballs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    summary = build(out, size=64, tarballs=tarballs, workers=1)
    assert summary == built[1]
    assert digests(out) == digests(built[0])
    log = out / ".build" / "measured.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-5]) + lines[-5][:20])
    victim = next((out / "train").glob("*.webp"))
    victim.unlink()
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.webp")}
    build(out, size=64, tarballs=tarballs)
    assert digests(out) == digests(built[0])
    again = [path for path, when in kept.items() if path.stat().st_mtime_ns != when]
    assert len(again) in (4, 5)  # those without a line; one of them may be the deleted picture


def test_bad_requests_are_one_line(
    built: tuple[Path, Summary], tarballs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="size 65: choose one of 64, 128, 256"):
        build(tmp_path / "x", size=65)
    with pytest.raises(ValueError, match="workers is 0"):
        build(tmp_path / "x", workers=0)
    with pytest.raises(ValueError, match="holds other pictograms"):
        build(built[0], size=128, tarballs=tarballs)
    with pytest.raises(ValueError, match="is not a build of pictograms of textok"):
        build(tarballs, tarballs=tarballs)
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'textok\[data\]'"):
        build(tmp_path / "x", tarballs=tarballs)
    assert not (tmp_path / "x").exists()


def test_a_build_without_packages_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for size in (64, 128):  # the second is not told that the first had been there
        with pytest.raises(ValueError, match="empty"):
            build(tmp_path / "out", size=size, tarballs=tmp_path / "empty")


def test_licences_name_every_package(built: tuple[Path, Summary]) -> None:
    text = (built[0] / "LICENSES.md").read_text(encoding="utf-8")
    for package in PACKAGES:
        start = f"| `{package.name}` {package.version} |"
        row = next(line for line in text.splitlines() if line.startswith(start))
        assert f"| {package.credit} | [{package.licence}](https://" in row
    assert "this permission notice shall be included" in text
