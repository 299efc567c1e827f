"""Discrete tokens: codes out, codes in, and what training sees of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from textok.config import CodebookConfig, TokenizerConfig, ViTConfig
from textok.tokenizer import Tokenizer

SMALL = ViTConfig(width=32, depth=2, heads=2)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=6,
    channels=3,
    text="none",
    encoder=SMALL,
    decoder=SMALL,
    bottleneck="vq",
    codebook=CodebookConfig(size=7),
)


def make(**changes: object) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


def images(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_codes_and_their_vectors_decode_to_the_same_picture() -> None:
    model = make()
    latents = model.encode(images())
    assert latents.codes is not None and latents.logvar is None
    assert latents.codes.shape == (2, 6) and latents.codes.dtype == torch.int64
    assert latents.mean.shape == (2, 6, 3)
    assert torch.allclose(latents.mean, model.codebook.lookup(latents.codes), atol=1e-6)
    assert torch.allclose(latents.mean.norm(dim=-1), torch.ones(2, 6))
    picture = model.decode(latents)
    assert torch.allclose(model.decode(latents.codes), picture, atol=1e-5)
    other = (latents.codes + 1) % 7
    assert not torch.allclose(model.decode(other), picture, atol=1e-3)


def test_fewer_tokens_are_the_first_ones() -> None:
    model = make()
    whole, part = model.encode(images()), model.encode(images(), num_tokens=2)
    assert whole.codes is not None and part.codes is not None
    assert torch.equal(part.codes, whole.codes[:, :2])
    assert torch.equal(part.mean, whole.mean[:, :2])
    assert model.decode(part.codes).shape == (2, 3, 16, 16)


def test_a_training_pass_gives_both_losses_and_reaches_encoder_and_codebook() -> None:
    model = make().train()
    out = model(images())
    assert out.images is not None and out.codebook is not None and out.commitment is not None
    assert out.pre_quant is not None and out.pre_quant.shape == (2, 6, 3)
    assert out.codebook.item() == pytest.approx(out.commitment.item())
    out.images.square().mean().backward(retain_graph=True)
    assert model.encoder.embed.weight.grad is not None
    assert model.encoder.embed.weight.grad.abs().sum() > 0
    assert model.codebook.vectors.grad is None
    out.codebook.backward()
    assert model.codebook.vectors.grad is not None and model.codebook.vectors.grad.abs().sum() > 0


def test_a_code_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^codes go from 0 to 7, this codebook has 0 to 6$"):
        make().decode(torch.tensor([[0, 7]]))


def test_codes_for_a_continuous_tokenizer_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^this tokenizer is continuous: it has no codes$"):
        make(bottleneck="ae").decode(torch.tensor([[0, 1]]))


@pytest.mark.parametrize("revive", [False, True])
def test_a_saved_tokenizer_gives_the_same_codes(tmp_path, revive: bool) -> None:
    model = make(codebook=CodebookConfig(size=7, revive=revive))
    model.save_pretrained(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path)
    assert loaded.config == model.config
    codes, again = model.encode(images()).codes, loaded.encode(images()).codes
    assert codes is not None and again is not None and torch.equal(codes, again)
    assert "6 tokens of 7 codes = 17 bits" in (tmp_path / "README.md").read_text()


def test_a_codebook_of_one_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.codebook\.size is 1"):
        CodebookConfig(size=1)
