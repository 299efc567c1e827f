from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from textok.config import TextConfig
from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.data.pixels import to_pil
from textok.generator.sample import sample
from textok.nn.linear import Linear
from textok.pipeline import ClassCaptions, ImageRequest, TextToImage
from textok.text import on_the_fly, open_features
from textok.text.encoder import FrozenTextEncoder
from textok.types import Condition


def difference(one: Image.Image, other: Image.Image) -> int:
    """The largest over pixels, of 255."""
    return int(np.abs(np.int16(np.asarray(one)) - np.int16(np.asarray(other))).max())


@pytest.fixture(scope="module")
def pipe(by_text: Path) -> TextToImage:
    return TextToImage.from_pretrained(by_text)


@pytest.fixture(scope="module")
def class_pipe(by_class: Path) -> TextToImage:
    return TextToImage.from_pretrained(by_class)


def test_prompts_come_first_to_last_and_each_seed_is_another_picture(pipe: TextToImage) -> None:
    four = pipe(["a red apple", "a dog"], num_images=2, seed=5)
    assert [made.size for made in four] == [(16, 16)] * 4
    assert difference(pipe("a red apple", seed=6)[0], four[1]) <= 1
    assert difference(pipe("a dog", seed=5)[0], four[2]) <= 1
    pairs = [(i, j) for i in range(4) for j in range(i)]
    assert min(difference(four[i], four[j]) for i, j in pairs) > 3


def test_a_picture_does_not_depend_on_its_batch(pipe: TextToImage) -> None:
    prompts = ["a red apple", "", "a dog in the snow"]
    whole = pipe(prompts, num_images=3)
    for batch_size in (1, 2, 4):
        parts = pipe(prompts, num_images=3, batch_size=batch_size)
        assert max(map(difference, whole, parts)) <= 1
    assert difference(pipe("a dog in the snow", num_images=7)[2], whole[8]) <= 1


def test_it_is_the_generator_the_scale_and_the_decoder_in_turn(pipe: TextToImage) -> None:
    assert pipe._prompts is not None
    text = pipe._prompts(["a red apple"])
    tokens = sample(pipe.generator, Condition(text=text), sampling=pipe.sampling, seeds=[7])
    latents = tokens * torch.tensor([2.0, 3.0]) + torch.tensor([0.5, -1.0])
    expected = to_pil(pipe.tokenizer.decode(latents, text)[0])
    assert pipe("a red apple", seed=7)[0].tobytes() == expected.tobytes()


def test_both_networks_pack_their_weights(pipe: TextToImage) -> None:
    for network in (pipe.generator, pipe.tokenizer):
        layers = [layer for layer in network.modules() if isinstance(layer, Linear)]
        assert layers and all(layer.packs for layer in layers)


def test_settings_reach_the_sampler(pipe: TextToImage) -> None:
    own = pipe("a dog")[0]
    guided = replace(pipe.sampling, guidance=GuidanceConfig(scale=6.0))
    assert difference(pipe("a dog", steps=3, guidance=2.0)[0], own) == 0
    for changed in (
        pipe("a dog", steps=9),
        pipe("a dog", guidance=6.0),
        pipe("a dog", negative="a red apple"),
        pipe("a dog", caption="a red apple"),
    ):
        assert difference(changed[0], own) > 1
    assert difference(pipe("a dog", sampling=guided)[0], pipe("a dog", guidance=6.0)[0]) == 0
    assert difference(pipe("a dog", negative="a dog")[0], pipe("a dog", guidance=1.0)[0]) <= 1


def test_an_empty_prompt_is_no_condition(pipe: TextToImage) -> None:
    # There, guidance leads away from where it comes from.
    one, other = pipe("", guidance=1.0)[0], pipe(" ", guidance=5.0)[0]
    assert difference(one, other) <= 1


def test_steps_are_told(pipe: TextToImage) -> None:
    told: list[int] = []
    pipe(["a", "b", "c"], batch_size=2, steps=4, on_step=told.append)
    assert told == [1, 2, 3, 4, 1, 2, 3, 4]


def test_no_caption_is_encoded_twice(by_text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = FrozenTextEncoder.__call__

    def spy(self: FrozenTextEncoder, captions: Sequence[str]) -> object:
        encoded.extend(captions)
        return encode(self, captions)

    monkeypatch.setattr(FrozenTextEncoder, "__call__", spy)
    pipe = TextToImage.from_pretrained(by_text)
    pipe(["a dog", "a cat"], num_images=3, batch_size=2)
    assert encoded == ["a dog", "a cat"]


def test_the_decoder_reads_its_own_text_encoder_where_that_differs(pipe: TextToImage) -> None:
    assert pipe._captions is pipe._prompts
    other = TextToImage(replace(pipe.parts, text=TextConfig(max_tokens=8)))
    assert other._captions is not other._prompts
    long = "a red apple on a wooden table beside a blue cup"  # pooled in one, cut in the other
    with pytest.warns(UserWarning, match="minilm reads 8 tokens"):
        assert difference(other(long)[0], pipe(long)[0]) > 3
    cached = replace(pipe.parts, text=TextConfig(max_tokens=16, pool=8, cache="here", drop=0.5))
    same = TextToImage(cached)
    assert same._captions is same._prompts


def test_a_long_prompt_is_cut_and_it_says_where(pipe: TextToImage) -> None:
    long = "a red apple on a wooden table beside a blue cup and a green lamp near the window"
    with pytest.warns(UserWarning, match="^text cut after '... cup and a green': minilm reads 16"):
        made = pipe(long)[0]
    assert difference(made, pipe(long.partition(" lamp")[0])[0]) <= 1


def test_remembered_captions_are_let_go(pipe: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_the_fly, "REMEMBERED", 2)
    text = open_features(TextConfig(max_tokens=16, pool=8), one_by_one=True)
    for i in range(4):
        text([f"number {i}"])
    assert list(text._kept) == ["number 2", "number 3"]


def test_classes(class_pipe: TextToImage) -> None:
    fruit, more, bird = class_pipe.of_class(["food-fruit", "animal-bird"], num_images=2)[:3]
    assert min(difference(fruit, more), difference(fruit, bird)) > 3
    # With another class the same caption and noise give another picture.
    asked = [
        ImageRequest(condition=name, seed=0, caption="a pear") for name in ("food-fruit", "sky")
    ]
    assert difference(*class_pipe.draw(asked)) > 3
    anything = class_pipe.of_class("", guidance=1.0)[0]
    assert difference(class_pipe.of_class("", guidance=5.0)[0], anything) <= 1


def test_the_decoder_reads_a_caption_of_the_class(class_pipe: TextToImage) -> None:
    def caption(name: str, seed: int) -> str:
        return class_pipe.decoder_caption(ImageRequest(condition=name, seed=seed))

    assert {caption("food-fruit", seed) for seed in range(20)} == {"a pear", "a plum"}
    assert {caption("animal-bird", seed) for seed in range(20)} == {"an owl", "a wren"}
    assert caption("sky", 3) == "a photo of a sky"
    assert class_pipe.decoder_caption(ImageRequest(condition="sky", seed=0, caption="")) == ""
    drawn = class_pipe.of_class("food-fruit", num_images=2, seed=4)
    for j in range(2):
        named = class_pipe.of_class("food-fruit", seed=4 + j, caption=caption("food-fruit", 4 + j))
        assert difference(named[0], drawn[j]) <= 1


def test_a_sentence_stands_for_a_class_without_captions() -> None:
    assert ClassCaptions().draw("food-fruit_red", seed=0) == "a photo of a food fruit red"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda pipe, _: pipe.of_class("sky"), "this generator takes prompts, not classes"),
        (lambda _, pipe: pipe("sky"), "this generator takes classes, not prompts: ask with"),
        (
            lambda _, pipe: pipe.of_class(["sky", "food-fruits"]),
            "class 'food-fruits' is unknown to this generator of 3 classes; there is food-fruit",
        ),
        (lambda _, pipe: pipe.of_class("sky", negative="ground"), "class 'ground' is unknown"),
        (lambda pipe, _: pipe([]), "nothing to generate: give a prompt"),
        (lambda pipe, _: pipe("a", num_images=0), "num_images is 0: it must be >= 1"),
        (lambda pipe, _: pipe("a", batch_size=0), "batch_size is 0: it must be >= 1"),
        (lambda pipe, _: pipe("a", steps=0), "sampling.steps is 0"),
        (
            lambda pipe, _: pipe("a", sampling=SamplingConfig(sampler="ddpm")),
            "sampling.sampler 'ddpm' does not fit a generator trained by 'flow'",
        ),
    ],
)
def test_what_cannot_be_asked(
    ask: object, message: str, pipe: TextToImage, class_pipe: TextToImage
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ask(pipe, class_pipe)  # type: ignore[operator]
    assert "\n" not in str(error.value)


def test_bf16(pipe: TextToImage, by_text: Path) -> None:
    half = TextToImage.from_pretrained(by_text, dtype=torch.bfloat16)
    assert difference(half("a dog")[0], pipe("a dog")[0]) < 25
