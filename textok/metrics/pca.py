"""Principal components of pixels: what F floats an image give without any learning by descent.

Legend: n images, P = 3 H W pixel values, F floats an image, R >= F width of the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1024
"""Images turned to float32 at a time."""


@dataclass(frozen=True, kw_only=True)
class PixelPca:
    """A linear code of images: mean and orthonormal directions, most variance first."""

    mean: Tensor
    """(P,) float32."""
    basis: Tensor
    """(F, P) float32, orthonormal rows."""
    image_size: int

    def encode(self, images_B3HW: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] to floats (B, F)."""
        return (images_B3HW.flatten(1) - self.mean) @ self.basis.T

    def decode(self, codes_Bf: Tensor) -> Tensor:
        """The first f <= F floats (B, f) to images (B, 3, H, W), not clamped."""
        pixels = codes_Bf @ self.basis[: codes_Bf.shape[1]] + self.mean
        return pixels.unflatten(1, (3, self.image_size, self.image_size))

    def to(self, device: torch.device | str) -> PixelPca:
        return PixelPca(
            mean=self.mean.to(device), basis=self.basis.to(device), image_size=self.image_size
        )


def fit_pca(
    images_n3HW: Tensor,
    floats: int,
    *,
    iterations: int = 6,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> PixelPca:
    """The ``floats`` leading principal components of uint8 images (n, 3, H, W).

    Block power iteration on twice as many directions as requested, then Rayleigh-Ritz (Halko et
    al. 2011, section 4.5): the covariance, P x P, is never formed. Images stay uint8 in memory.
    Raises ValueError where the images are too few for that many components.
    """
    count, size = images_n3HW.shape[0], images_n3HW.shape[-1]
    pixels = images_n3HW[0].numel()
    if not 1 <= floats < min(count, pixels + 1):
        raise ValueError(
            f"PCA with {floats} floats needs more than {floats} training images, not {count}"
        )
    total = torch.zeros(pixels, dtype=torch.float64, device=device)
    for chunk in _chunks(images_n3HW, device):
        total += chunk.sum(dim=0, dtype=torch.float64)
    mean = (total / count).float()

    width = min(2 * floats + 32, count, pixels)
    generator = torch.Generator().manual_seed(seed)
    directions_PR = torch.randn(pixels, width, generator=generator).to(device)
    for _ in range(iterations):
        directions_PR = torch.linalg.qr(directions_PR).Q
        image_PR = torch.zeros_like(directions_PR)
        for chunk in _chunks(images_n3HW, device):
            centred = chunk - mean
            image_PR += centred.T @ (centred @ directions_PR)
        directions_PR = image_PR
    directions_PR = torch.linalg.qr(directions_PR).Q
    small_RR = torch.zeros(width, width, dtype=torch.float64, device=device)
    for chunk in _chunks(images_n3HW, device):
        codes = ((chunk - mean) @ directions_PR).double()
        small_RR += codes.T @ codes
    ritz_RF = torch.linalg.eigh(small_RR).eigenvectors.flip(1)[:, :floats].float()
    basis = (directions_PR @ ritz_RF).T.contiguous()
    return PixelPca(mean=mean, basis=basis, image_size=size)


def _chunks(images_n3HW: Tensor, device: torch.device | str) -> Iterator[Tensor]:
    """The images as float32 rows (<= CHUNK, P) in [-1, 1]."""
    for chunk in images_n3HW.split(CHUNK):
        yield chunk.to(device).flatten(1).float() / 127.5 - 1
