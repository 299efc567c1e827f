"""TiTok's layout, its legacy reshape, and decoders that name the codes of a VQGAN."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from textok.config import TokenizerConfig, ViTConfig, VQGANConfig
from textok.extract.extraction import weights_sha256
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

SMALL = ViTConfig(width=32, depth=2, heads=2)
VQGAN = VQGANConfig(
    image_size=16,
    width=8,
    multipliers=(1, 1, 1),
    res_blocks=1,
    codebook_size=5,
    codebook_channels=4,
)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=6,
    channels=3,
    text="decoder",
    text_width=10,
    text_tokens=5,
    encoder=SMALL,
    decoder=SMALL,
    bottleneck="vq",
    layout="titok",
)


def make(**changes: object) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


def images(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def text(lengths: tuple[int, ...] = (5, 2)) -> TextFeatures:
    states = torch.randn(len(lengths), 5, 10, generator=torch.Generator().manual_seed(2))
    return TextFeatures(states=states, mask=torch.arange(5) < torch.tensor(lengths)[:, None])


def test_the_class_token_is_attended_to_and_not_read() -> None:
    model = make()
    latents = model.encode(images())
    drawn = model.decode(latents, text())
    assert latents.mean.shape == (2, 6, 3) and drawn.shape == (2, 3, 16, 16)
    with torch.no_grad():
        for trunk in (model.encoder.trunk, model.decoder.trunk):
            assert trunk.cls is not None
            trunk.cls.mul_(-5)
    assert not torch.allclose(model.decode(latents, text()), drawn, atol=1e-4)


def test_padding_of_the_text_has_no_influence_beside_a_class_token() -> None:
    model, read = make(), text((5, 2))
    other = read.states.clone()
    other[1, 2:] = 100.0
    latents = model.encode(images())
    drawn = model.decode(latents, read)
    again = model.decode(latents, TextFeatures(states=other, mask=read.mask))
    assert torch.allclose(drawn, again, atol=1e-5)


def test_its_blocks_have_exact_gelu_and_its_norms_a_larger_epsilon() -> None:
    block = make().encoder.trunk.blocks[0]
    x = torch.linspace(-3, 3, 32)[None]
    inner = block.mlp[0](x)
    assert torch.allclose(block.mlp(x), block.mlp[2](F.gelu(inner)), atol=1e-7)
    assert (block.norm1.eps, block.norm2.eps, make().encoder.trunk.norm.eps) == (1e-5,) * 3


def test_the_legacy_reshape_deals_the_numbers_out_differently() -> None:
    """(K, D) numbers in a row are read as (D, K): token k has every K-th of them, from k on."""
    plain, legacy = make(bottleneck="ae"), make(bottleneck="ae", legacy_reshape=True)
    seen: list[torch.Tensor] = []
    for model in (plain, legacy):
        model.encoder.bottleneck.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        model.encode(images(1))
    row = seen[0].flatten()
    assert torch.equal(seen[1][0, 2], row[2::6])


def test_a_decoder_of_codes_paints_the_mean_of_their_vectors() -> None:
    model = make(output="codes", vqgan=VQGAN, text="none")
    out = model(images())
    assert out.logits is not None and out.logits.shape == (2, 16, 5)
    assert out.images is not None and out.images.shape == (2, 3, 16, 16)
    assert torch.equal(out.images, model.decode(out.latents))
    assert model.vqgan_decoder is not None
    certain = F.one_hot(torch.arange(16) % 5, 5).float()[None] * 1e4
    assert torch.allclose(
        model._decode_codes(certain), model.vqgan_decoder(certain / 1e4), atol=1e-6
    )
    assert model(images(), pixels=False).images is None


def test_a_vqgan_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"16 in 4 patches a side, .* 16 in 8 codes a side"):
        make(output="codes", vqgan=dataclasses.replace(VQGAN, multipliers=(1, 1)), text="none")


def test_another_image_size_takes_the_vqgan_along(tmp_path) -> None:
    make(output="codes", vqgan=VQGAN, text="none").save_pretrained(tmp_path)
    larger = Tokenizer.from_pretrained(tmp_path, image_size=32)
    assert larger.config.vqgan.image_size == 32
    x = torch.zeros(1, 3, 32, 32)
    assert larger.decode(larger.encode(x)).shape == (1, 3, 32, 32)


def test_freezing_the_encoder_leaves_the_decoder_to_learn() -> None:
    model = make()
    model.freeze_encoder()
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("encoder.")}


def test_weights_under_former_keys_load(tmp_path: Path) -> None:
    model = make(output="codes", vqgan=VQGAN)
    folder = model.save_pretrained(tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    former = {key.replace("vqgan_decoder.", "painter."): value for key, value in state.items()}
    assert "painter.codebook.vectors" in former
    save_file(former, folder / "model.safetensors")
    again = Tokenizer.from_pretrained(folder)
    other = make(output="codes", vqgan=VQGAN)
    other.load_state_dict(former)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
        assert torch.equal(other.state_dict()[key], value), key
    # Latents name their tokenizer by a digest over the former keys.
    digest = hashlib.sha256()
    for key, value in sorted(former.items()):
        digest.update(key.encode() + value.numpy().tobytes())
    assert weights_sha256(again) == digest.hexdigest()
