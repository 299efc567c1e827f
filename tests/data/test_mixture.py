from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from tests.data.test_loading import rows, steps
from textok.caption.job import caption_images
from textok.config import DataConfig
from textok.config.caption import CaptionConfig, EndpointConfig
from textok.data import CaptionedImages, eval_batches, open_captioned_images, train_batches
from textok.data.mixture import parse_mixture
from textok.data.mixture_order import MixtureOrder
from textok.train.images import describe_shares


def opened(path: str, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=path, **options), image_size=8)


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``a``: 7 images of class x or y with a ``style``; ``b``: 3 of class w with captions in text
    files; the first file names are the same."""
    table = [
        {"file_name": f"{i}.png", "captions": [f"a {i}", f"A {i}"], "label": "xy"[i % 2]}
        | {"style": "flat" if i < 4 else "glossy"}
        for i in range(7)
    ]
    files: dict[str, bytes | str] = {f"a/{i}.png": encoded(10 * i) for i in range(7)}
    files["a/metadata.jsonl"] = "\n".join(map(json.dumps, table))
    for i in range(3):
        files[f"b/w/{i}.png"] = encoded(200 + 10 * i)
        files[f"b/w/{i}.txt"] = f"b {i}"
    write_folder(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def order(weights: tuple[float, ...] = (0.7, 0.3), seed: int = 0) -> MixtureOrder:
    return MixtureOrder(sizes=(70, 20, 5)[: len(weights)], weights=weights, seed=seed)


def test_shares_are_exact_and_counts_are_those_of_the_draws() -> None:
    one = order((3.0, 1.0))
    drawn = Counter("a" if one.at(position).image < 70 else "b" for position in range(4000))
    assert drawn == {"a": 3000, "b": 1000}
    assert one.counts(4000) == [3000, 1000]
    for positions in (0, 1, 999, 1000, 1001, 2345):
        images = [one.at(position).image for position in range(positions)]
        first = sum(image < 70 for image in images)
        assert one.counts(positions) == [first, positions - first]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.7, 0.2995, 0.0005), (5.0, 1e-4, 2.0)])
def test_shares_of_any_weights_differ_from_them_by_one_draw_at_most(
    weights: tuple[float, ...],
) -> None:
    mixture = order(weights)
    for blocks in (1, 2, 7, 1000, 10**9):
        positions = blocks * mixture.block
        counts = mixture.counts(positions)
        assert sum(counts) == positions
        for count, weight in zip(counts, weights, strict=True):
            assert count == pytest.approx(positions * weight / sum(weights), abs=1)


def test_every_pass_of_a_set_has_each_of_its_images_once() -> None:
    mixture = order()
    draws = [mixture.at(position) for position in range(3000)]
    for low, high in ((0, 70), (70, 90)):
        own = [draw for draw in draws if low <= draw.image < high]
        size = high - low
        passes = [own[at : at + size] for at in range(0, len(own), size)]
        assert len(passes) > 20
        for epoch, one in enumerate(passes[:-1]):
            assert {draw.epoch for draw in one} == {epoch}
            assert sorted(draw.image for draw in one) == list(range(low, high))
        assert passes[0] != passes[1]


def test_sets_alternate_at_random_and_by_the_seed() -> None:
    chosen = ["ab"[order().at(position).image >= 70] for position in range(40)]
    assert chosen != sorted(chosen) and "bb" in "".join(chosen)
    assert [order().at(p) for p in range(40)] != [order(seed=1).at(p) for p in range(40)]


def test_a_far_position_needs_no_positions_before_it() -> None:
    far, one = 10**12 + 7, order()
    assert one.at(far) == order().at(far)
    first = one.counts(far)[0]
    assert first == pytest.approx(0.7 * far, abs=1001)
    assert one.at(far).epoch in (first // 70, (far - first) // 20)


def test_the_global_batch_does_not_depend_on_processes_workers_or_the_first_step(
    sets: Path,
) -> None:
    images = opened("a=0.6 b=0.4", flip=True)
    plain = steps(images)
    assert {row[0].partition("/")[0] for step in plain for row in step} == {"a", "b"}
    assert steps(images, world=2) == plain
    assert steps(images, accumulate=2, world=2) == plain
    assert steps(images, workers=2) == plain
    assert steps(images, first=7, accumulate=2, workers=1) == plain[7:]
    assert steps(images, seed=6) != plain


def test_a_mixture_has_the_images_of_all_sets_and_the_union_of_their_classes(sets: Path) -> None:
    images = opened("a=3 b=1")
    assert [r.key for r in images.records] == [
        *(f"a/{i}.png" for i in range(7)),
        *(f"b/w/{i}.png" for i in range(3)),
    ]
    assert images.classes == ["w", "x", "y"]
    assert [part.weight for part in images.parts] == [0.75, 0.25]
    batch = next(eval_batches(images, batch_size=10))
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 2, 1, 2, 1, 2, 1, 0, 0, 0]
    assert batch.captions[6:8] == ["a 6", "b 0"]


def test_where_may_name_a_field_of_one_set_alone(sets: Path) -> None:
    images = opened("a=1 b=1", where="style!=glossy")
    assert [len(part.images) for part in images.parts] == [4, 3]
    assert images.report.filtered == 3
    with pytest.raises(ValueError, match="no image of b is left to draw; leave that set out"):
        opened("a=1 b=1", where="style=flat")
    with pytest.raises(ValueError, match="no record has a field 'stile'; did you mean 'style'"):
        opened("a=1 b=1", where="stile=flat")


def test_a_bad_image_is_replaced_by_one_of_its_own_set(sets: Path) -> None:
    (sets / "a" / "6.png").write_bytes(b"")  # the last of a
    images = opened("a=1 b=1", max_bad_share=0.2)
    keys = [row[0] for step in steps(images, until=250) for row in step]
    assert list(images.report.bad) == ["a/6.png"] and "a/6.png" not in keys
    assert Counter(key[0] for key in keys) == {"a": 1000, "b": 1000}
    assert keys.count("a/0.png") > 1.8 * keys.count("a/1.png")


def test_what_was_left_out_is_counted_by_set(sets: Path) -> None:
    with (sets / "a" / "metadata.jsonl").open("a") as table:
        table.write('\n{"file_name": "gone.png"}')
    images = opened("a=1 b=1", max_bad_share=0.2)
    assert images.report.missing == {"a/gone.png": "metadata.jsonl line 8"}


def test_each_set_has_its_own_split(sets: Path) -> None:
    (sets / "c").mkdir()
    (sets / "b").rename(sets / "c" / "train")
    assert len(opened("a=1 c=1")) == 10
    with pytest.raises(ValueError, match=r"c has no sub-folder 'val'; data.split can be train"):
        opened("a=1 c=1", split="val")


def test_the_summary_says_what_each_set_gave(sets: Path) -> None:
    images = opened("a=0.7 b=0.3")
    assert describe_shares(images, seed=0, positions=2000) == [
        "set a: weight 0.7, 7 images, 14 captions, 1400 draws (200 passes)",
        "set b: weight 0.3, 3 images, 3 captions, 600 draws (200 passes)",
    ]
    assert describe_shares(opened("a"), seed=0, positions=2000) == []


def captions_of(sets: Path, name: str, keys: list[str]) -> None:
    lines = [json.dumps({"key": key, "captions": [f"new {key}"]}) + "\n" for key in keys]
    write_folder(sets, {name: "".join(lines)})


def test_captions_from_elsewhere_go_to_the_set_that_has_their_keys(sets: Path) -> None:
    captions_of(sets, "captions.jsonl", ["w/0.png"])
    images = opened("a=1 b=1", captions="captions.jsonl")
    assert images.records[0].captions == ("a 0", "A 0")  # a has none of the keys
    assert [r.captions for r in images.records[7:]] == [("new w/0.png",), (), ()]
    captions_of(sets, "other.jsonl", ["elsewhere"])
    with pytest.raises(ValueError, match=r"other.jsonl has captions of 1 keys, none of which"):
        opened("a=1 b=1", captions="other.jsonl")


def test_captions_of_a_key_that_two_sets_have_go_into_a_folder_each(sets: Path) -> None:
    (sets / "b" / "w").rename(sets / "d")
    captions_of(sets, "captions.jsonl", ["0.png"])
    with pytest.raises(ValueError, match=r"has captions of 0.png, which a and d both have"):
        opened("a=1 d=1", captions="captions.jsonl")
    captions_of(sets, "new/d/captions.jsonl", ["1.png"])
    images = opened("a=1 d=1", captions="new")
    assert images.records[1].captions == ("a 1", "A 1")
    assert images.records[8].captions == ("new 1.png",) and images.records[7].captions == ()
    captions_of(sets, "new/a/captions.jsonl", ["elsewhere"])
    with pytest.raises(ValueError, match="none of which"):
        opened("a=1 d=1", captions="new")


def test_what_is_a_mixture_and_what_a_plain_path(sets: Path) -> None:
    for plain in ("a", "", "no such", "data-{0..3}.tar", "run=x", "it's", "lr=1e-4/set", "a b=x"):
        assert parse_mixture(plain) == [], plain
    for name in ("a=0.7 b=0.3", "a=1"):
        assert len(parse_mixture(name)) == name.count("=")
        (sets / name).mkdir()
        assert parse_mixture(name) == []  # it exists
    (sets / "a=1" / "0.png").write_bytes(encoded(1))
    assert [r.key for r in opened("a=1").records] == ["0.png"]


def test_paths_with_spaces_equals_signs_and_shared_last_parts(sets: Path) -> None:
    for place in ("my images/train", "lr=1/train"):
        write_folder(sets / place, {"0.png": encoded(1)})
    images = opened("'my images/train'=2 lr=1/train=6", split="")
    assert [(p.name, p.weight) for p in images.parts] == [
        ("my images-train", 0.25),
        ("lr=1-train", 0.75),
    ]
    assert [r.key for r in images.records] == ["my images-train/0.png", "lr=1-train/0.png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a=0 b=1", "the weight of a is '0'; it must be a number above 0"),
        ("a=-1 b=1", "the weight of a is '-1'"),
        ("a=nan b=1", "the weight of a is 'nan'"),
        ("a=1 b=inf", "the weight of b is 'inf'"),
        ("a=1 b=much", "the weight of b is 'much'"),
        ("a=much b=more", "the weight of a is 'much'"),
        ("a=1 b=", "the weight of b is ''"),
        ("a=1 b", "'b' has no weight; write each set as PATH=WEIGHT"),
        ("a=1 =2", "'=2' has no weight"),
        ("a=1 b=1e-7", "b has under a millionth of the weights"),
        ("a=1e308 b=1e308", "the weights are too large"),
        ("a=1 ./a=2", "./a is named twice"),
        ("a=1 b=1 a=1", "a is named twice"),
        ("a=1 c=1", "c does not exist"),
        ("c=1", "data.path c does not exist"),
        ("b=1 b/w=1", "b and b/w are the same images"),
    ],
)
def test_mixtures_that_cannot_be_are_refused(sets: Path, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        opened(path)
    assert "\n" not in str(error.value)


def test_captions_are_written_for_one_set_at_a_time(sets: Path) -> None:
    endpoint = EndpointConfig(url="http://localhost:1/v1")
    with pytest.raises(ValueError, match="a=1 b=1 is a mixture: caption each of its sets by"):
        caption_images(
            DataConfig(path="a=1 b=1"), sets / "out", CaptionConfig(model="any"), via=endpoint
        )
    assert not (sets / "out").exists()


def test_one_set_alone_is_drawn_as_without_a_weight(sets: Path) -> None:
    with_weight = train_batches(
        opened("b=2"),
        global_batch=3,
        accumulate=1,
        rank=0,
        world_size=1,
        first_step=0,
        seed=0,
        workers=0,
    )
    for (batch,) in islice(with_weight, 5):
        assert sorted(row[0] for row in rows([batch])) == [f"b/w/{i}.png" for i in range(3)]
