"""One of tokens and caption kept, the other changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from textok.config.generator import SamplingOptions
from textok.demo import figures
from textok.demo.explore import Grid, interpolate, sampling_grid, swap
from textok.demo.studio import Studio
from textok.types import Latents

Studios = Callable[[str], Studio]
CAPTIONS = ["a red apple", "a dog in the snow"]


def near(one: Image.Image, other: Image.Image) -> bool:
    """The same but for rounding, which other batches may change."""
    return bool(np.abs(np.subtract(np.asarray(one, np.int16), other)).max() <= 1)


@pytest.mark.parametrize("kind", ["text", "codes"])
def test_rows_keep_tokens_and_columns_captions(
    studios: Studios, pictures: list[Image.Image], kind: str
) -> None:
    studio = studios(kind)
    found = swap(studio, pictures[:2], CAPTIONS, "a frog")
    assert found.rows == ["tokens of picture 1", "tokens of picture 2"]
    assert found.columns == [
        "caption of picture 1",
        "caption of picture 2",
        "no caption",
        "your caption",
    ]
    model = studio.reconstructor
    for row in range(2):
        latents = model.encode(pictures[row], CAPTIONS[row])
        for column, text in enumerate([*CAPTIONS, "", "a frog"]):
            assert near(found.pictures[row][column], model.decode(latents, text)[0])
    assert not near(found.pictures[0][0], found.pictures[0][1])
    assert not near(found.pictures[0][0], found.pictures[1][0])


def test_one_token_of_a_nested_tokenizer(studios: Studios, pictures: list[Image.Image]) -> None:
    studio = studios("nested")
    model = studio.reconstructor
    found = swap(studio, pictures[:2], CAPTIONS, num_tokens=1)
    latents = model.encode(pictures[0], CAPTIONS[0], num_tokens=1)
    assert latents.mean.shape[1] == 1
    assert near(found.pictures[0][1], model.decode(latents, CAPTIONS[1])[0])
    assert not near(found.pictures[0][1], swap(studio, pictures[:2], CAPTIONS).pictures[0][1])


def test_nothing_to_swap(studios: Studios, pictures: list[Image.Image]) -> None:
    with pytest.raises(ValueError, match="reads no caption: there is nothing to swap"):
        swap(studios("plain"), pictures[:2], CAPTIONS)


def test_a_line_from_one_picture_to_the_other(
    studios: Studios, pictures: list[Image.Image]
) -> None:
    studio = studios("text")
    model = studio.reconstructor
    found = interpolate(studio, pictures[:2], CAPTIONS, count=5)
    assert [place for place, _ in found] == [0, 0.25, 0.5, 0.75, 1]
    for (_, picture), number in ((found[0], 0), (found[-1], 1)):
        assert near(picture, model.reconstruct(pictures[number], CAPTIONS[number])[0])
    one, other = (model.encode(pictures[i], CAPTIONS[i]).mean for i in range(2))
    for reading, text in {
        "the first one's": CAPTIONS[0],
        "the second one's": CAPTIONS[1],
        "none": "",
        "the nearer one's": CAPTIONS[1],
    }.items():
        place, picture = interpolate(studio, pictures[:2], CAPTIONS, count=5, reading=reading)[3]
        between = Latents(mean=one + place * (other - one))
        assert near(picture, model.decode(between, text)[0])


def test_nothing_lies_between_codes(studios: Studios, pictures: list[Image.Image]) -> None:
    with pytest.raises(ValueError, match="there is nothing between two of them"):
        interpolate(studios("codes"), pictures[:2], CAPTIONS, count=3)


def test_a_grid_of_steps_and_guidance(studios: Studios) -> None:
    studio = studios("text")
    assert studio.pipe is not None
    told: list[int] = []
    found = sampling_grid(
        studio,
        "a dog",
        steps=[1, 3],
        guidance=[1, 2.5],
        seed=7,
        sampling=studio.pipe.sampling,
        on_step=told.append,
    )
    assert (found.rows, found.columns) == (["1 step", "3 steps"], ["guidance 1", "guidance 2.5"])
    assert told == list(range(1, 9))  # 2 x 1 + 2 x 3
    for i, steps in enumerate((1, 3)):
        for j, scale in enumerate((1, 2.5)):
            expected = studio.pipe("a dog", seed=7, steps=steps, guidance=scale)[0]
            assert found.pictures[i][j].tobytes() == expected.tobytes()


def test_a_grid_of_classes_and_of_codes(studios: Studios) -> None:
    studio = studios("codes-class")
    assert studio.pipe is not None
    sampling = SamplingOptions(temperature=2.0).applied_to(studio.pipe.sampling)
    found = sampling_grid(studio, "sky", steps=[2], guidance=[3], seed=1, sampling=sampling)
    expected = studio.pipe.of_class(
        "sky", seed=1, sampling=SamplingOptions(steps=2, guidance=3).applied_to(sampling)
    )[0]
    assert found.pictures[0][0].tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="is a tokenizer: it has no generator to draw with"):
        sampling_grid(studios("nested"), "sky", steps=[2], guidance=[3], seed=1, sampling=sampling)


def test_figures_escape_what_they_show() -> None:
    picture = Image.new("RGB", (8, 8))
    shown = figures.grid(Grid(rows=['<b"'], columns=["<i>", "x"], pictures=[[picture, picture]]))
    assert "&lt;b&quot;" in shown and "&lt;i&gt;" in shown and "<i>" not in shown
    assert shown.count("data:image/png;base64,") == 2 and "--n:2" in shown
    assert 'class="sharp"' in shown
    large = figures.strip([(0.25, Image.new("RGB", (256, 256)))])
    assert "25 %" in large and "sharp" not in large
