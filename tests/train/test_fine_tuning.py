"""A tokenizer of one kind of pictures becomes better on another, by all, some or added weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train.tasks import make_tokenizer_task
from textok.config import (
    CodebookConfig,
    GanConfig,
    LossConfig,
    OptimConfig,
    TrainTokenizerConfig,
    ViTConfig,
    VQGANConfig,
)
from textok.config.lora import LoraConfig
from textok.nn.positions import resize_grid
from textok.tokenizer import Tokenizer
from textok.train.tokenizer import build_tokenizer
from textok.types import Batch

BEFORE, AFTER = 150, 50
"""Steps on the first kind of pictures, and on the second."""
CONSTANT = 1 / 3
"""Mean squared error of the best single picture: the variance of colours uniform in [-1, 1]."""


def pictures(kind: str, seed: int, count: int = 16, side: int = 16) -> Batch:
    """``solid``: of one colour; ``halves``: of one on the left and another on the right."""
    draws = torch.Generator().manual_seed(seed)
    colours = torch.rand(count, 2, 3, 1, 1, generator=draws) * 2 - 1
    images = colours[:, 0].expand(count, 3, side, side).clone()
    if kind == "halves":
        images[..., side // 2 :] = colours[:, 1]
    return Batch(images=images, captions=[""] * count, keys=[str(i) for i in range(count)])


def fit(config: TrainTokenizerConfig, kind: str, steps: int) -> Tokenizer:
    """Train on pictures of that kind, never twice on one."""
    task = make_tokenizer_task(config)
    for step in range(steps):
        task.step([pictures(kind, seed=1 + step)], step)
    return task.averaged


@torch.no_grad()
def error(model: Tokenizer, kind: str) -> float:
    """Mean squared error on 64 pictures that are in no training."""
    held_out = pictures(kind, seed=1_000_000, count=64).images
    return float((model.decode(model.encode(held_out)) - held_out).square().mean())


@pytest.fixture(scope="module")
def plain(config: TrainTokenizerConfig) -> TrainTokenizerConfig:
    shape = replace(config.tokenizer, text="none", nested=False, bottleneck="ae")
    return replace(
        config,
        tokenizer=shape,
        loss=LossConfig(perceptual=0, kl=0, gan=GanConfig(weight=0)),
        optim=OptimConfig(name="muon", lr=1e-2, muon_lr=3e-2, warmup=2),
        run=replace(config.run, steps=BEFORE, batch_size=16),
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, plain: TrainTokenizerConfig) -> Path:
    """A tokenizer of solid pictures."""
    return fit(plain, "solid", BEFORE).save_pretrained(tmp_path_factory.mktemp("start"))


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 0.85),
        ({"freeze_encoder": True}, 0.92),
        ({"freeze_decoder": True}, 0.92),
        ({"lora": LoraConfig(rank=8)}, 0.92),
    ],
    ids=["everything", "decoder", "encoder", "adapters"],
)
def test_fine_tuning_beats_its_start_on_held_out_pictures(
    plain: TrainTokenizerConfig, start: Path, changes: dict[str, Any], most: float
) -> None:
    if "lora" in changes:
        pytest.importorskip("peft")
    before = error(Tokenizer.from_pretrained(start), "halves")
    settings = replace(plain, init=str(start), run=replace(plain.run, steps=AFTER), **changes)
    after = error(fit(settings, "halves", AFTER), "halves")
    print(f"mean squared error {before:.4f} before, {after:.4f} after: {after / before:.2f}")
    assert after < most * before < most * CONSTANT


@pytest.mark.parametrize("output", ["pixels", "codes"])
def test_the_architecture_of_released_weights_at_another_image_size(
    plain: TrainTokenizerConfig, tmp_path: Path, output: str
) -> None:
    vqgan = VQGANConfig(
        image_size=16,
        width=8,
        multipliers=(1, 1, 1),
        res_blocks=1,
        codebook_size=5,
        codebook_channels=4,
    )
    shape = replace(
        plain.tokenizer,
        bottleneck="vq",
        codebook=CodebookConfig(size=6),
        layout="titok",
        legacy_reshape=True,
        output=output,
        vqgan=vqgan,
    )
    torch.manual_seed(1)
    released = Tokenizer(shape)
    torch.nn.init.normal_(released.encoder.positions)
    released.save_pretrained(tmp_path)
    larger = replace(shape, image_size=32, vqgan=replace(vqgan, image_size=32))
    settings = replace(plain, tokenizer=larger, init=str(tmp_path), freeze_encoder=True)
    state = build_tokenizer(settings).state_dict()
    resized = {
        name for name, value in released.state_dict().items() if not same(value, state[name])
    }
    assert resized == {"encoder.positions", "decoder.queries"}
    for name in resized:
        assert torch.equal(state[name], resize_grid(released.state_dict()[name], 8))
    # A plane of positions that are all the same stays so, in between and at the edges.
    assert torch.allclose(resize_grid(torch.ones(16, 3), 8), torch.ones(64, 3))
    task = make_tokenizer_task(settings)
    bright = pictures("solid", 1, side=32)
    bright = replace(bright, images=bright.images.abs())
    errors = [float(task.step([bright], step)["l2"]) for step in range(24)]
    assert errors[-1] < 0.8 * errors[0]
    task.save(tmp_path / "tuned")
    tuned = Tokenizer.from_pretrained(tmp_path / "tuned")
    assert tuned.config.image_size == 32
    assert tuned.encode(pictures("solid", 2, side=32).images).codes.shape == (16, 4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"legacy_reshape": True},
            r"start.* its legacy_reshape is False, tokenizer\.legacy_reshape is True: set it to F",
        ),
        (
            {"decoder": ViTConfig(width=32, depth=1, heads=4)},
            r"its decoder\.heads is 2, tokenizer\.decoder\.heads is 4: set it to 2$",
        ),
    ],
)
def test_settings_by_which_the_weights_would_compute_otherwise_are_refused(
    plain: TrainTokenizerConfig, start: Path, changes: dict[str, Any], message: str
) -> None:
    shape = replace(plain.tokenizer, **changes)
    with pytest.raises(ValueError, match=message):
        build_tokenizer(replace(plain, tokenizer=shape, init=str(start)))


def same(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and torch.equal(one, two)
