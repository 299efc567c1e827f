"""Converted tokenizers give the tokens, latents, logits and pixels of the official ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.convert import recipe
from tests.convert.conftest import Convert, recorded
from textok.config import CodebookConfig, TextConfig
from textok.convert import convert_1d_tokenizer
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures
from textok.vqgan import VQGAN

NAMES = ("two-stage", "vq", "kl", "text-vq", "text-kl")


def inputs(tokenizer: Tokenizer, count: int = 10) -> tuple[Tensor, TextFeatures | None]:
    """Images on our scale, and the states of captions with nothing masked."""
    config = tokenizer.config
    images = 2 * recipe.images(count, config.image_size) - 1
    if config.text == "none":
        return images, None
    states = recipe.text(count, config.text_tokens, config.text_width)
    return images, TextFeatures(states=states, mask=torch.ones(states.shape[:2], dtype=torch.bool))


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < tolerance


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_tokens_latents_logits_and_pixels_are_theirs(name: str, converted: Convert) -> None:
    tokenizer = Tokenizer.from_pretrained(converted(name))
    theirs = recorded(name).outputs
    images, text = inputs(tokenizer)

    encoded = tokenizer.encoder(images, text)
    latents = tokenizer.encode(images, text)

    if tokenizer.config.bottleneck == "vq":
        assert torch.equal(latents.codes, theirs["ids"].long())
        close(encoded.pre_quant, theirs["encoded"], 1e-4)
        given: Tensor = latents.codes
    else:
        close(torch.cat([latents.mean, latents.logvar], dim=2), theirs["encoded"], 1e-4)
        given = latents.mean
    if tokenizer.config.output == "codes":
        close(tokenizer.decoder(latents.mean, text), theirs["logits"], 1e-4)
    drawn = (tokenizer.decode(given, text) + 1) / 2
    close(drawn[..., 1::2, 1::2], theirs["pixels"], 1e-3)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_alone_and_not_contiguous_as_well(name: str, converted: Convert) -> None:
    tokenizer = Tokenizer.from_pretrained(converted(name))
    theirs = recorded(name).outputs
    images, text = inputs(tokenizer)
    turned = images.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    assert not turned.is_contiguous()

    for row in range(3):
        caption = None if text is None else text[row : row + 1]
        latents = tokenizer.encode(turned[row : row + 1], caption)
        if latents.codes is not None:
            assert torch.equal(latents.codes[0], theirs["ids"][row].long())
        drawn = (tokenizer.decode(latents, caption) + 1) / 2
        close(drawn[0, :, 1::2, 1::2], theirs["pixels"][row], 1e-3)


@torch.no_grad()
def test_full_width_two_stage(tmp_path: Path) -> None:
    """TiTok-S-128 as published: 256 pixels, and the VQGAN of 256 pixels that draws."""
    official = recorded("s-128")
    source = official.write(tmp_path / "official")
    tokenizer = convert_1d_tokenizer(str(source), tmp_path / "ours")
    assert isinstance(tokenizer, Tokenizer)
    theirs = official.outputs
    images, _ = inputs(tokenizer)

    encoded = tokenizer.encoder(images, None)
    assert torch.equal(encoded.latents.codes, theirs["ids"].long())
    close(encoded.pre_quant[:, ::8], theirs["encoded"], 1e-4)

    vectors = encoded.latents.mean[:2]
    close(tokenizer.decoder(vectors, None)[:, ::16, ::16], theirs["logits"], 1e-4)
    drawn = (tokenizer.decode(encoded.latents.codes[:1]) + 1) / 2
    close(drawn[..., 1::16, 1::16], theirs["pixels"][:1], 1e-3)


@torch.no_grad()
def test_the_vqgan(converted: Convert, tmp_path: Path) -> None:
    vqgan = VQGAN.from_pretrained(converted("vqgan"))
    theirs = recorded("vqgan").outputs
    images = 2 * recipe.images(10, vqgan.config.image_size) - 1

    latents = vqgan.encode(images)
    assert torch.equal(latents.codes, theirs["ids"].long())
    drawn = (vqgan.decode(latents.codes) + 1) / 2
    close(drawn[..., 1::2, 1::2], theirs["pixels"], 1e-3)
    alone = vqgan.encode(images[:1].permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1))
    assert torch.equal(alone.codes, theirs["ids"][:1].long())


def test_what_they_are(converted: Convert) -> None:
    two_stage, vq, kl, text_vq, text_kl = (
        Tokenizer.from_pretrained(converted(name)) for name in NAMES
    )

    assert two_stage.config.output == "codes" and two_stage.config.legacy_reshape
    assert two_stage.config.codebook == CodebookConfig(size=256, l2_norm=True)
    assert two_stage.config.vqgan.codebook_size == 96
    assert vq.config.codebook == CodebookConfig(size=256, l2_norm=False)
    assert (vq.config.image_size, vq.config.patch_size, vq.config.num_tokens) == (32, 8, 6)
    assert vq.config.output == "pixels" and not vq.config.legacy_reshape
    assert kl.config.bottleneck == "kl" and kl.config.channels == 6
    assert vq.config.text == kl.config.text == "none" and kl.text_config is None
    assert text_vq.config.text == text_kl.config.text == "decoder"
    assert text_vq.config.codebook.revive
    assert text_kl.text_config == TextConfig(
        encoder="openai/clip-vit-large-patch14-336", max_tokens=7, padding=True
    )


@pytest.mark.parametrize(("name", "directions"), [("two-stage", True), ("vq", False)])
def test_without_config_codes_are_directions_in_two_stages_alone(
    name: str, directions: bool, tmp_path: Path
) -> None:
    file = recorded(name).write(tmp_path / "official") / "pytorch_model.bin"
    tokenizer = convert_1d_tokenizer(str(file), tmp_path / "ours")
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.config.codebook.l2_norm is directions

    (file.parent / "config.json").write_text(
        json.dumps({"model": {"vq_model": {"use_l2_norm": not directions}}})
    )
    other = convert_1d_tokenizer(str(file.parent), tmp_path / "other")
    assert isinstance(other, Tokenizer)
    assert other.config.codebook.l2_norm is not directions
