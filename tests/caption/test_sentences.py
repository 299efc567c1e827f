"""Sentences about classes: matched by name, drawn in training and held out elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.caption import sentences_by_class
from textok.caption.by_class import split_captions
from textok.caption.sentences import match_names, read_sentences
from textok.cli.main import main
from textok.config import DataConfig
from textok.config.captioning import CaptionsByClassConfig
from textok.data import eval_batches, open_captioned_images, train_batches
from textok.data.class_captions import ClassCaptions, for_image, read_class_captions

LABELS = {"red_panda": ["lesser panda", "bear cat"], "hot-air balloon": [], "alp": ["mountain"]}
SENTENCES = {
    "Hot Air, Balloon": [f"A balloon rises, {i}." for i in range(10)],
    "Lesser Panda": ["A red panda is red.", "It climbs.", "It climbs.", " "],
    "goldfish": ["A goldfish swims."],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        rows = [
            {"file_name": f"{i}.png", "caption": f"own {i}", "label": label, "names": names}
            for i, (label, names) in enumerate(list(LABELS.items()) * 4)
        ]
        files: dict[str, bytes | str] = {f"{i}.png": encoded(9 * i) for i in range(len(rows))}
        files["metadata.jsonl"] = "\n".join(json.dumps(row) for row in rows)
        write_folder(tmp_path / "data" / split, files)
    (tmp_path / "s.json").write_text(json.dumps(SENTENCES))
    return tmp_path / "data"


def test_names_are_matched_by_label_and_synonym(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    found = sentences_by_class(
        CaptionsByClassConfig(
            data=DataConfig(path=str(data)), out=out, sentences=tmp_path / "s.json", held_out=0.3
        )
    )
    assert found.unmatched == ["alp"]
    assert read_class_captions(out) == found.captions
    panda, balloon = found.captions["red_panda"], found.captions["hot-air balloon"]
    assert sorted(panda.train + panda.held_out) == ["A red panda is red.", "It climbs."]
    assert len(panda.held_out) == 1
    assert sorted(balloon.train + balloon.held_out) == SENTENCES["Hot Air, Balloon"]
    template = ("a photo of a alp",)
    assert found.captions["alp"] == ClassCaptions(train=template, held_out=template)


def test_labels_go_before_synonyms_and_shared_synonyms_fit_none() -> None:
    known = {"wagon": ["x"], "panda": ["x"], "Station-Wagon": ["x"]}
    names = {
        "police van": ["police van", "wagon"],
        "beach wagon": ["beach wagon", "station wagon", "wagon"],
        "panda": ["panda"],
        "red panda": ["red panda", "panda"],
    }
    assert match_names(names, known) == {"beach wagon": "Station-Wagon", "panda": "panda"}


def test_training_draws_training_sentences_and_evaluation_held_out_ones(
    data: Path, tmp_path: Path
) -> None:
    captions = tmp_path / "c.json"
    assert main(["captions", "by-class", str(data), str(captions), "--sentences",
                 str(tmp_path / "s.json"), "--held-out", "0.3"]) == 0  # fmt: skip
    known = read_class_captions(captions)
    settings = DataConfig(path=str(data), class_captions=str(captions), workers=0)
    images = open_captioned_images(settings, image_size=8)
    steps = train_batches(images, global_batch=12, accumulate=1, rank=0, world_size=1,
                          first_step=0, seed=0, workers=0)  # fmt: skip
    drawn = {caption for _ in range(30) for caption in next(steps)[0].captions}
    assert drawn == {caption for of_class in known.values() for caption in of_class.train}
    unseen = open_captioned_images(
        DataConfig(path=str(data), split="test", class_captions=str(captions)), image_size=8
    )
    (batch,) = eval_batches(unseen, batch_size=12)
    assert batch.labels is not None
    for caption, label in zip(batch.captions, batch.labels.tolist(), strict=True):
        assert caption in known[unseen.classes[label]].held_out


def test_a_class_that_is_not_in_the_file_keeps_its_own_captions(data: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"alp": {"train": ["snow"], "held_out": ["rock"]}}')
    images = open_captioned_images(
        DataConfig(path=str(data), class_captions=str(tmp_path / "c.json")), image_size=8
    )
    assert [record.captions for record in images.records[:3]] == [
        ("own 0",),
        ("own 1",),
        ("snow",),
    ]


def test_the_first_caption_differs_between_images_of_a_class() -> None:
    captions = ("a", "b", "c")
    turned = {for_image(captions, f"{i}.png") for i in range(50)}
    assert turned == {("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")}
    assert for_image(captions, "7.png") == for_image(captions, "7.png")
    assert for_image((), "7.png") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"goldfish": ["x"]}', "none of its 1 names is a class"),
        ('{"alp": "x"}', "alp: a list of sentences is needed"),
        ('{"alp": [1]}', "alp: a list of sentences is needed"),
        ('["alp"]', "s.json"),
        ("{", "s.json"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(
    data: Path, tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text(text)
    words = ["captions", "by-class", str(data), str(tmp_path / "c.json")]
    assert main([*words, "--sentences", str(tmp_path / "s.json")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("textok: error: ") and message in error
    assert not (tmp_path / "c.json").exists()


def test_settings_that_cannot_be_together(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        DataConfig(path="x", captions="a", class_captions="b")
    (tmp_path / "c.json").write_text('{"tench": {"train": ["a fish"]}}')
    settings = DataConfig(path=str(data), class_captions=str(tmp_path / "c.json"))
    with pytest.raises(ValueError, match=r"none of which is in .* where one is alp"):
        open_captioned_images(settings, image_size=8)


def test_no_class_is_left_without_a_sentence_to_train_on() -> None:
    texts = {f"class {i}": [f"it is {i}", f"that is {i}"][: 1 + i % 2] for i in range(200)}
    for share in (0.1, 0.5, 0.99):
        split = split_captions(texts, share, seed=0)
        assert all(one.train for one in split.values())
        several = [one for name, one in split.items() if len(texts[name]) == 2]
        assert all(len(one.held_out) == 1 for one in several)
    assert split_captions({"a": ["x"], "b": []}, 0.9, seed=0) == {
        "a": ClassCaptions(train=("x",)),
        "b": ClassCaptions(),
    }


def test_what_is_held_out_of_one_class_is_not_trained_on_by_another() -> None:
    own = {f"class {i}": [f"it is {i}", f"it is {i + 1}", f"it is {i + 2}"] for i in range(60)}
    split = split_captions(own, 0.05, seed=3)  # so few that most are held out as the one at least
    trained = {text for one in split.values() for text in one.train}
    unseen = {text for one in split.values() for text in one.held_out}
    assert unseen and not trained & unseen
    for name, one in split.items():
        assert {*one.train, *one.held_out} == set(own[name])
    turned = dict(reversed([(name, texts[::-1]) for name, texts in own.items()]))
    assert split_captions(turned, 0.05, seed=3) == split


def test_names_and_sentences_that_differ_in_case_or_spelling_alone_are_one(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"hot dog": ["A dog.", "a dog."], "Hot-Dog": ["Meat."], "???": []}))
    assert read_sentences(file) == {"hot dog": ("A dog.", "Meat.")}
    assert match_names({"!": ["!"]}, {"???": ["x"]}) == {}


def test_sentences_for_the_classes_of_a_mixture(data: Path, tmp_path: Path) -> None:
    other = write_folder(
        tmp_path / "other", {"goldfish/0.png": encoded(9), "alp/0.png": encoded(8)}
    )
    found = sentences_by_class(
        CaptionsByClassConfig(
            data=DataConfig(path=f"{data}=2 {other}=1"),
            out=tmp_path / "c.json",
            sentences=tmp_path / "s.json",
        )
    )
    assert found.captions["goldfish"].train == ("A goldfish swims.",)
    assert len(found.captions["red_panda"].held_out) == 1
