from __future__ import annotations

import numpy as np
import pytest

from textok.datasets.pictograms.captions import full_and_plain, share, spoken
from textok.datasets.pictograms.colours import main_colours


@pytest.mark.parametrize(
    ("label", "phrase"),
    [
        ("grinning face", "grinning face"),
        ("flag: North Korea", "flag of North Korea"),
        ("keycap: 5", "keycap 5"),
        ("man: dark skin tone, beard", "man with dark skin tone and beard"),
        ("family: man, woman, boy", "family of man, woman and boy"),
        ("kiss: man, man, dark skin tone", "kiss of man and man with dark skin tone"),
        ("couple with heart: light skin tone", "couple with heart with light skin tone"),
    ],
)
def test_labels_are_spoken(label: str, phrase: str) -> None:
    assert spoken(label) == phrase


def test_the_four_templates() -> None:
    captions = {}
    for i in range(40):
        full, plain = full_and_plain(
            key=f"k{i}", style="noto", label="red apple", keywords=["fruit"], colours=["red", "tan"]
        )
        captions[full] = plain
    noto = "soft shaded Noto style"
    assert captions == {
        f"a {noto} emoji of red apple in red and tan, fruit": f"a {noto} emoji of red apple, fruit",
        f"{noto} icon, red apple, fruit, mostly red and tan": f"{noto} icon, red apple, fruit",
        f"red apple, fruit, {noto} drawing in red and tan": f"red apple, fruit, {noto} drawing",
        f"red apple in red and tan, fruit, {noto} emoji": f"red apple, fruit, {noto} emoji",
    }


def test_keywords_say_something_new_and_leave_room_for_long_labels() -> None:
    words = ["kneel", "person", "prayer", "xy", "floor", "knees", "rest"]

    def said(label: str) -> list[str]:
        plain = full_and_plain(key="k", style="twemoji", label=label, keywords=words, colours=())[1]
        return [word for word in words if word in plain.split(", ")]

    assert said("kneeling person") == ["prayer", "floor", "rest"]
    assert said("a kneeling person with so very many words to say") == []


def test_share_is_the_same_everywhere() -> None:
    assert share("split 1f600") == pytest.approx(0.8317357042601579, abs=0)


def test_main_colours_count_the_foreground_only() -> None:
    rgb = np.full((10, 10, 3), 255, dtype=np.uint8)
    rgb[:5] = (220, 42, 53)
    rgb[5:7] = (47, 127, 219)
    rgb[7, :8] = (16, 16, 16)
    inside = np.zeros((10, 10), dtype=bool)
    inside[:7] = True
    inside[7, :8] = True
    assert main_colours(rgb, inside) == ("red", "blue")
    inside[:] = True
    assert main_colours(rgb, inside) == ("red", "white", "blue")
    assert main_colours(rgb, np.zeros((10, 10), dtype=bool)) == ()
