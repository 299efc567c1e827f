from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from textok.evaluate.text_alignment import (
    Captioned,
    caption_embedder,
    mean_state,
    text_alignment,
)
from textok.types import TextFeatures

CPU = torch.device("cpu")
CAPTIONS = [f"caption {number}" for number in range(200)]


def embed(captions: Sequence[str]) -> Tensor:
    """A fixed random direction a caption."""
    numbers = [int(caption.split()[-1]) for caption in captions]
    table = torch.randn(1000, 12, generator=torch.Generator().manual_seed(0))
    return table[numbers]


def captioned(numbers: range) -> Captioned:
    """Features that are the embedding."""
    captions = [f"caption {number}" for number in numbers]
    return Captioned(features=embed(captions), captions=captions)


TRAINING = captioned(range(300, 1000))


def test_perfect_pictures_reach_the_ceiling_and_strangers_the_floor() -> None:
    real = captioned(range(200))
    perfect = text_alignment(drawn=real, real=real, training=TRAINING, embed=embed)
    noise = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
    strangers = Captioned(features=noise, captions=real.captions)
    lost = text_alignment(drawn=strangers, real=real, training=TRAINING, embed=embed)

    assert (perfect.candidates, perfect.training_pairs) == (100, 700)
    assert perfect.drawn.at_1.mean == perfect.real.at_1.mean == 1.0
    assert perfect.shuffled.at_5.mean < 0.1
    assert (perfect.position_1, perfect.position_5) == (1.0, 1.0)
    assert lost.position_5 == pytest.approx(0.0, abs=0.06)


def test_half_right_is_half_way() -> None:
    real = captioned(range(200))
    wrong = torch.randn(100, 12, generator=torch.Generator().manual_seed(2))
    half = Captioned(features=torch.cat([real.features[:100], wrong]), captions=real.captions)
    found = text_alignment(drawn=half, real=real, training=TRAINING, embed=embed)

    assert found.position_1 == pytest.approx(0.5, abs=0.03)
    assert found.drawn.at_1.low < found.drawn.at_1.mean < found.drawn.at_1.high


def test_captions_that_come_again_are_one_wording() -> None:
    real = captioned(range(6))
    twice = Captioned(features=real.features.repeat(2, 1), captions=real.captions * 2)
    found = text_alignment(drawn=twice, real=real, training=TRAINING, embed=embed)

    assert found.candidates == 6
    assert found.drawn.at_1.mean == 1.0


def test_one_wording_is_nothing_to_choose_from() -> None:
    one = captioned(range(1))
    with pytest.raises(ValueError, match="two wordings or more"):
        text_alignment(drawn=one, real=one, training=TRAINING, embed=embed)


def test_mean_is_over_real_tokens_alone() -> None:
    states = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [99.0], [99.0]], [[9.0]] * 3])
    mask = torch.tensor([[True, True, False], [True, False, False], [False] * 3])

    assert mean_state(TextFeatures(states=states, mask=mask)).tolist() == [[2.0], [5.0], [0.0]]


def test_minilm_knows_what_is_alike(tmp_path: Path) -> None:
    captions = ["a small dog", "a little puppy", "tax law", "a small dog"]
    found = caption_embedder(None, CPU)(captions)
    cached = caption_embedder(tmp_path, CPU)(captions)

    assert found.shape == (4, 384)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert torch.equal(found[0], found[3])
    assert found[0] @ found[1] > found[0] @ found[2] + 0.3
    torch.testing.assert_close(cached, found, rtol=0, atol=1e-5)
    assert any(tmp_path.rglob("*.safetensors"))
