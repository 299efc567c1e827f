"""Colours and kinds of products that never meet."""

from __future__ import annotations

from studies.products.unseen import unseen_combinations


def test_parts_occur_and_never_together() -> None:
    names = [
        *["Puma Men Red Shoes"] * 4,
        *["Nike Women Blue Shoe"] * 3,
        *["Baggit Women Red Handbag"] * 5,
        *["Levis Men Blue Jeans"] * 2,
        "Green Jeans",
    ]
    found = unseen_combinations(names, count=5, least=2)
    # red jeans 9 x 3 / 15 = 1.8; blue handbag 5 x 5 / 15 = 1.67; green is too rare.
    assert [one.prompt for one in found] == ["red jeans", "blue handbag"]
    assert (found[0].colour_names, found[0].kind_names, found[0].expected) == (9, 3, 1.8)


def test_a_word_elsewhere_in_the_name_counts_as_met() -> None:
    names = ["Red Cap"] * 3 + ["Blue Shoes"] * 3 + ["Blue Shoe Rack with Cap"]
    assert [one.prompt for one in unseen_combinations(names, count=5, least=2)] == ["red shoes"]


def test_kinds_of_two_words_and_of_two_spellings() -> None:
    names = ["Red Flip Flops"] * 3 + ["Blue T-shirt"] * 2 + ["Blue Tshirts"] * 3
    found = [one.prompt for one in unseen_combinations(names, count=5, least=2)]
    assert found == ["blue flip flops", "red tshirts"]


def test_no_colour_and_no_kind_comes_twice() -> None:
    names = ["red one"] * 9 + ["red two"] * 9 + ["blue cap"] * 9 + ["blue hat"] * 9
    found = [one.prompt.split() for one in unseen_combinations(names, count=9, least=2)]
    assert len(found) == 2
    assert len({word for each in found for word in each}) == 4
    assert unseen_combinations([], count=3) == []
