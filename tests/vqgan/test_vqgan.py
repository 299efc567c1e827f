"""A VQGAN: its size, its codes, what it refuses, and what its training passes on."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textok.config import VQGANConfig
from textok.types import Latents
from textok.vqgan import VQGAN
from textok.vqgan import network as vqgan_network
from textok.vqgan.network import ResBlock, UpConv, group_norm

CONFIG = VQGANConfig(
    image_size=16,
    width=8,
    multipliers=(1, 2, 2),
    res_blocks=1,
    codebook_size=11,
    codebook_channels=6,
)


def make(**changes: object) -> VQGAN:
    torch.manual_seed(0)
    model = VQGAN(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]
    # New codes are so close to zero that one is the nearest of all inputs.
    torch.nn.init.normal_(model.codebook.vectors, std=0.5)
    return model


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def codes_of(latents: Latents) -> Tensor:
    assert latents.codes is not None
    return latents.codes


def test_the_default_has_as_many_parameters_as_maskgits() -> None:
    with torch.device("meta"):
        model = VQGAN(VQGANConfig())
    parts = (model.encoder, model.decoder.decoder, model.codebook)
    sizes = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert sizes == [23_775_104, 30_478_339, 262_144]
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(sizes) == 54_515_587


@torch.no_grad()
def test_codes_are_the_nearest_to_what_the_encoder_says() -> None:
    model = make()
    latents = model.encode(images())
    codes = codes_of(latents)
    assert codes.shape == (2, 16) and codes.dtype == torch.int64
    assert latents.mean.shape == (2, 16, 6) and latents.logvar is None
    plane = model.encoder((images() + 1) / 2)
    said = plane.flatten(2).transpose(1, 2)  # (B, N, C), row by row
    assert torch.equal(codes, torch.cdist(said, model.codebook.vectors[None]).argmin(-1))
    torch.testing.assert_close(latents.mean, model.codebook.vectors[codes], atol=1e-6, rtol=0)
    assert len(codes.unique()) > 2


@torch.no_grad()
def test_codes_vectors_and_latents_decode_to_the_same_picture() -> None:
    model = make()
    latents = model.encode(images())
    drawn = model.decode(latents)
    assert drawn.shape == (2, 3, 16, 16) and drawn.dtype == torch.float32
    assert torch.allclose(model.decode(codes_of(latents)), drawn, atol=1e-5)
    assert torch.allclose(model.decode(latents.mean), drawn, atol=1e-5)
    assert torch.allclose(model(images()).images, drawn, atol=1e-5)
    certain = F.one_hot(codes_of(latents), 11).float()
    assert torch.allclose(model.decoder(certain), drawn, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("revive", [False, True])
def test_codes_may_be_directions_and_may_be_revived(revive: bool) -> None:
    model = make(l2_norm=True, revive=revive)
    latents = model.encode(images())
    torch.testing.assert_close(latents.mean.norm(dim=-1), torch.ones(2, 16))
    drawn = model.decode(latents)
    certain = F.one_hot(codes_of(latents), 11).float()
    assert torch.allclose(model.decoder(certain), drawn, atol=1e-5)
    model.codebook.vectors.mul_(3)
    assert torch.allclose(model.decode(codes_of(latents)), drawn, atol=1e-5)
    assert ("decoder.codebook.use" in model.state_dict()) == revive


@torch.no_grad()
def test_codes_stand_row_by_row() -> None:
    model, planes = make(), list[Tensor]()
    model.decoder.decoder.register_forward_pre_hook(lambda _, given: planes.append(given[0]))
    codes = torch.arange(16)[None] % 11
    model.decode(codes)
    assert torch.equal(planes[0][0, :, 1, 2], model.codebook.vectors[6])


@torch.no_grad()
def test_inside_black_is_zero_and_white_is_one() -> None:
    model = make()
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.encode(torch.full((1, 3, 16, 16), -1.0))
    model.encode(torch.ones(1, 3, 16, 16))
    assert [float(x.unique()) for x in seen] == [0.0, 1.0]
    said: list[Tensor] = []
    model.decoder.decoder.register_forward_hook(lambda _, __, out: said.append(out))
    drawn = model.decode(torch.zeros(1, 16, dtype=torch.int64))
    assert torch.allclose(drawn, 2 * said[0] - 1)


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch_or_its_memory() -> None:
    model, x = make(), images(3)
    together = model.encode(x)
    drawn = model.decode(together)
    for row in range(3):
        alone = model.encode(x[row : row + 1])
        assert torch.equal(codes_of(alone), codes_of(together)[row : row + 1])
        assert torch.allclose(model.decode(alone), drawn[row : row + 1], atol=1e-5)
    turned = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not turned.is_contiguous()
    assert torch.equal(codes_of(model.encode(turned)), codes_of(together))
    codes = codes_of(together).T.contiguous().T
    assert not codes.is_contiguous()
    assert torch.allclose(model.decode(codes), drawn, atol=1e-5)


def test_a_training_pass_reaches_the_encoder_through_the_codes() -> None:
    model = make().train()
    out = model(images())
    assert out.images is not None and out.codebook is not None and out.commitment is not None
    assert out.pre_quant is not None and out.pre_quant.shape == (2, 16, 6)
    assert out.codebook.item() == pytest.approx(out.commitment.item())
    out.images.square().mean().backward(retain_graph=True)
    first = model.encoder.conv_in.weight
    assert first.grad is not None and first.grad.abs().sum() > 0
    assert model.codebook.vectors.grad is None
    first.grad = None
    out.codebook.backward(retain_graph=True)
    assert model.codebook.vectors.grad is not None and model.codebook.vectors.grad.abs().sum() > 0
    assert first.grad is None
    out.commitment.backward()
    assert first.grad is not None and first.grad.abs().sum() > 0


@torch.no_grad()
@pytest.mark.parametrize(("shortcut", "inputs"), [("output", 16), ("input", 8)])
def test_where_channels_change_the_shortcut_is_of_what_the_config_says(
    shortcut: Literal["output", "input"], inputs: int
) -> None:
    torch.manual_seed(0)
    block, x = ResBlock(8, 16, shortcut), torch.randn(2, 8, 4, 4)
    h = x
    for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
        h = F.conv2d(F.silu(norm(h)), conv.weight, padding=1)
    assert block.shortcut is not None and block.shortcut.weight.shape == (16, inputs, 1, 1)
    taken = h if shortcut == "output" else x
    assert torch.allclose(block(x), h + F.conv2d(taken, block.shortcut.weight), atol=1e-6)
    same = ResBlock(8, 8, shortcut)
    assert same.shortcut is None
    same.conv2.weight.zero_()
    assert torch.equal(same(x), x)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_transposed_convolution_is_one_of_the_enlarged_input(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    conv, x = UpConv(8), torch.randn(batch, 8, 6, 5)
    expected = F.conv2d(
        x.repeat_interleave(2, 2).repeat_interleave(2, 3), conv.weight, conv.bias, padding=1
    )
    calls: list[Tensor] = []
    transposed = F.conv_transpose2d

    def spy(x: Tensor, *given: Any, **named: Any) -> Tensor:
        calls.append(x)
        return transposed(x, *given, **named)

    monkeypatch.setattr(vqgan_network.F, "conv_transpose2d", spy)
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=0)
        assert not calls  # too few pixels
        monkeypatch.setattr(vqgan_network, "ENOUGH", 30 * batch)
        torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=0)
        half = conv.to(torch.bfloat16)(x.bfloat16())
        torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0)
    assert len(calls) == 2


@torch.no_grad()
def test_its_weights_may_be_bf16() -> None:
    model, codes = make(), torch.arange(32).view(2, 16) % 11
    drawn = model.decode(codes)
    model.to(torch.bfloat16)
    again = model.decode(codes)
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, drawn, atol=0.1, rtol=0)
    assert codes_of(model.encode(images())).shape == (2, 16)


def test_without_gradients_the_numbers_are_those_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, codes = make(), torch.arange(32).view(2, 16) % 11
    drawn = model.decode(codes).detach()
    monkeypatch.setattr(vqgan_network, "ENOUGH", 0)
    with torch.inference_mode():
        torch.testing.assert_close(model.decode(codes), drawn, atol=1e-5, rtol=0)
        vectors = model.codebook.lookup(codes)
        given = vectors.clone()
        model.decode(vectors)
    assert torch.equal(vectors, given)  # nothing is written into the input


@pytest.mark.parametrize(("width", "groups"), [(4, 1), (16, 4), (128, 32), (512, 32)])
def test_groups(width: int, groups: int) -> None:
    norm = group_norm(width)
    assert (norm.num_groups, norm.eps) == (groups, 1e-6)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 3, 16, 32), (1, 3, 32, 32)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^images have shape .* takes \(B, 3, 16, 16\) in") as no:
        make().encode(torch.zeros(shape))
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    "tokens",
    [
        torch.zeros(1, 9, dtype=torch.int64),
        torch.zeros(16, dtype=torch.int64),
        torch.zeros(1, 16, 5),
        torch.zeros(1, 6),
    ],
)
def test_codes_of_another_shape_are_refused(tokens: Tensor) -> None:
    message = r"^codes have shape .*, this VQGAN takes \(B, 16\), or their vectors \(B, 16, 6\)$"
    with pytest.raises(ValueError, match=message):
        make().decode(tokens)


@pytest.mark.parametrize("code", [-1, 11])
def test_a_code_that_there_is_not_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=r"^codes go from .*, this codebook has 0 to 10$"):
        make().decode(torch.full((1, 16), code))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 14}, r"gives 14 channels: use a multiple of 4"),
        ({"width": 140, "multipliers": (1, 1, 1)}, r"gives 140 channels: .* one of 32"),
        ({"image_size": 18}, r"vqgan\.image_size 18 is not a multiple of 4"),
        ({"multipliers": ()}, r"vqgan\.multipliers is empty"),
        ({"multipliers": (1, 0, 1)}, r"vqgan\.multipliers is 0"),
        ({"res_blocks": 0}, r"vqgan\.res_blocks is 0"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)
