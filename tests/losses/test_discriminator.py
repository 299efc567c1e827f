from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from textok.config import GanConfig
from textok.losses.adversarial import discriminator_loss
from textok.losses.discriminator import (
    Blur,
    PatchGANDiscriminator,
    StyleGANDiscriminator,
    build_discriminator,
)

GAN = GanConfig(discriminator="patchgan", base=8)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("image_size", "count"),
    [(16, 16_520_705), (64, 23_402_753), (256, 23_996_481), (512, 24_026_145)],
)
def test_stylegan_has_about_24_million_parameters(image_size: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(StyleGANDiscriminator(image_size=image_size)) == count


@pytest.mark.parametrize("image_size", [16, 32, 128])
def test_stylegan_gives_one_logit_an_image(image_size: int) -> None:
    discriminator = StyleGANDiscriminator(image_size=image_size, channel_max=8)
    images = torch.zeros(2, 3, image_size, image_size, requires_grad=True)
    logits = discriminator(images + torch.tensor([-1.0, 1.0])[:, None, None, None])
    assert logits.shape == (2,)
    assert logits[0] != logits[1]
    logits.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().amin(dim=(0, 1)).min() > 0


@pytest.mark.parametrize("image_size", [8, 48, 96, 0])
def test_stylegan_refuses_other_sizes(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"not {image_size}; choose patchgan"):
        StyleGANDiscriminator(image_size=image_size)


@pytest.mark.parametrize(("image_size", "grid"), [(32, 4), (96, 12), (256, 16)])
def test_patchgan_gives_at_most_16_by_16_logits(image_size: int, grid: int) -> None:
    discriminator = PatchGANDiscriminator(channel_max=8)
    assert discriminator(torch.zeros(2, 3, image_size, image_size)).shape == (2, 1, grid, grid)


@pytest.mark.parametrize("image_size", [8, 12])
def test_patchgan_of_the_smallest_images(image_size: int) -> None:
    discriminator = build_discriminator(GAN, image_size=image_size)
    assert discriminator is not None
    assert discriminator(torch.zeros(2, 3, image_size, image_size)).shape == (2, 1, 1, 1)
    with pytest.raises(ValueError, match="takes images of 8 px or more, not 7"):
        build_discriminator(GAN, image_size=7)


def test_patchgan_widths_double_up_to_the_maximum() -> None:
    with torch.device("meta"):
        stages = PatchGANDiscriminator(channel_max=512).stages
    convolutions = [m for m in stages.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [128, 256, 512]


def test_blur_weighs_binomially_and_keeps_constants() -> None:
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[0, 0, 2, 2] = 16
    inner = Blur((1, 2, 1))(impulse)[0, 0, 1:4, 1:4]
    assert inner.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    halved = Blur((1, 3, 3, 1), stride=2)(torch.ones(1, 3, 8, 6))
    assert halved.shape == (1, 3, 4, 3)
    torch.testing.assert_close(halved, torch.ones(1, 3, 4, 3))


@pytest.mark.parametrize("name", ["stylegan", "patchgan"])
def test_discriminators_learn_to_tell_checks_from_noise(name: str) -> None:
    torch.manual_seed(0)
    discriminator: nn.Module = (
        StyleGANDiscriminator(image_size=16, channel_max=8)
        if name == "stylegan"
        else PatchGANDiscriminator(channel_max=8, layers=2)
    )
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 3, 8, 8)

    def loss() -> Tensor:
        noise = torch.rand(8, 3, 16, 16) * 2 - 1
        return discriminator_loss(discriminator(checks), discriminator(noise), kind="hinge")

    before = loss().item()
    for _ in range(40):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert before > 0.6
    assert loss().item() < 0.2
