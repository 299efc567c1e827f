from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.metrics.image import from_8bit
from textok.metrics.pca import fit_pca

FLOATS = 20


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """uint8 (600, 3, 16, 16) with the falling spectrum of natural pictures."""
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(16)
    fall = 1 / (0.05 + (frequency[:, None].square() + frequency.square()).sqrt())
    noise = torch.fft.fft2(torch.randn(600, 3, 16, 16, generator=generator))
    smooth = torch.fft.ifft2(noise * fall).real
    return (smooth / smooth.std() * 50 + 128).round().clamp(0, 255).to(torch.uint8)


def test_error_is_that_of_the_exact_components(pictures: Tensor) -> None:
    pca = fit_pca(pictures, FLOATS)
    images = from_8bit(pictures)
    error = (pca.decode(pca.encode(images)) - images).double().square().sum().item()

    centred = images.flatten(1).double() - images.flatten(1).double().mean(dim=0)
    exact = torch.linalg.svdvals(centred)[FLOATS:].square().sum().item()

    assert error == pytest.approx(exact, rel=1e-4)
    assert error >= exact * (1 - 1e-6)


def test_directions_are_orthonormal_and_sorted(pictures: Tensor) -> None:
    pca = fit_pca(pictures, FLOATS)
    variances = pca.encode(from_8bit(pictures)).var(dim=0)

    torch.testing.assert_close(pca.basis @ pca.basis.T, torch.eye(FLOATS), rtol=0, atol=1e-5)
    assert torch.equal(variances.argsort(descending=True), torch.arange(FLOATS))


def test_the_first_floats_are_a_smaller_pca(pictures: Tensor) -> None:
    images = from_8bit(pictures[:10])
    small, large = fit_pca(pictures, 5), fit_pca(pictures, FLOATS)

    prefix = large.decode(large.encode(images)[:, :5])

    torch.testing.assert_close(prefix, small.decode(small.encode(images)), rtol=0, atol=2e-3)


def test_as_many_floats_as_the_data_have_is_exact(pictures: Tensor) -> None:
    few = pictures[:8]
    images = from_8bit(few)
    pca = fit_pca(few, 7)

    torch.testing.assert_close(pca.decode(pca.encode(images)), images, rtol=0, atol=1e-4)


def test_too_few_images(pictures: Tensor) -> None:
    with pytest.raises(ValueError, match="more than 8 training images, not 8"):
        fit_pca(pictures[:8], 8)
