from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from textok.metrics.resizing import bicubic_antialiased, bilinear_tensorflow, resize


def noise(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator, dtype=torch.uint8)


def test_tensorflow_1_by_hand() -> None:
    row = torch.tensor([0.0, 30.0, 90.0])
    image = row.expand(1, 3, 3, 3)

    # Places 0, 0.6, 1.2, 1.8, 2.4 of 0, 30, 90: nothing is beyond the last pixel.
    enlarged = bilinear_tensorflow(image, 5)
    expected = torch.tensor([0.0, 18.0, 42.0, 78.0, 90.0]).expand(1, 3, 5, 5)
    torch.testing.assert_close(enlarged, expected)
    torch.testing.assert_close(
        bilinear_tensorflow(image.transpose(2, 3), 5), enlarged.transpose(2, 3)
    )
    # Places 0 and 1.5: most of what is there is never looked at.
    torch.testing.assert_close(
        bilinear_tensorflow(image, 2), torch.tensor([0.0, 60.0]).expand(1, 3, 2, 2)
    )
    assert torch.equal(bilinear_tensorflow(image, 3), image)


def test_agrees_with_torch_fidelity() -> None:
    module: Any = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    theirs = module.interpolate_bilinear_2d_like_tensorflow1x

    for image in (noise(64, 64).float(), noise(400, 300).float()):
        expected = theirs(image, size=(299, 299), align_corners=False)
        torch.testing.assert_close(bilinear_tensorflow(image, 299), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (400, 300), (299, 299)])
def test_clean_is_pillow_of_floats(height: int, width: int) -> None:
    images = noise(height, width)
    found = resize(images, 299, "clean")
    channel = Image.fromarray(images[1, 2].numpy().astype(np.float32))
    expected = np.asarray(channel.resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255)

    assert (found.shape, found.dtype) == ((2, 3, 299, 299), torch.float32)
    np.testing.assert_allclose(found[1, 2].numpy(), expected, rtol=0, atol=1e-2)


def test_the_choice_matters_where_images_get_smaller() -> None:
    checks = 255.0 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2).expand(1, 3, 64, 64)

    assert resize(checks, 32, "tensorflow").unique().tolist() == [0.0]
    assert bicubic_antialiased(checks, 32)[..., 8:-8, 8:-8].sub(127.5).abs().max() < 1
    with pytest.raises(ValueError, match="'area' is unknown: use tensorflow or clean"):
        resize(checks, 32, "area")  # type: ignore[arg-type]
