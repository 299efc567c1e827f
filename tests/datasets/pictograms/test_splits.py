from __future__ import annotations

from collections import Counter

from textok.datasets.pictograms.splits import assign_splits, split_of

STYLES = ("fluent-3d", "noto", "openmoji")


def test_nine_tenths_of_the_concepts_are_train() -> None:
    count = Counter(split_of(f"concept {i}") for i in range(10_000))
    assert 8_900 < count["train"] < 9_100
    assert 430 < count["val"] < 570
    assert 430 < count["test"] < 570


def test_test_seen_takes_whole_styles_of_train_concepts_and_leaves_another() -> None:
    pictures = {
        f"{style} {i} {variant}": (f"concept {i}", style)
        for i in range(1_000)
        for style in STYLES
        for variant in range(2)
    }
    splits = assign_splits(pictures)
    places: dict[tuple[str, str], set[str]] = {}
    for key, picture in pictures.items():
        places.setdefault(picture, set()).add(splits[key])
    assert all(len(found) == 1 for found in places.values())
    seen = [picture for picture, found in places.items() if found == {"test_seen"}]
    assert 50 < len(seen) < 130  # 3.4 % of about 2,700
    for concept, style in seen:
        assert split_of(concept) == "train"
        others = {"fluent-3d", "noto"} - {style}
        assert any(places[concept, other] == {"train"} for other in others)


def test_a_concept_in_one_shipped_style_is_never_test_seen() -> None:
    pictures = {f"{i} {style}": (f"c{i}", style) for i in range(500) for style in STYLES[1:]}
    splits = assign_splits(pictures)
    assert not any(splits[f"{i} noto"] == "test_seen" for i in range(500))
    assert any(splits[f"{i} openmoji"] == "test_seen" for i in range(500))
