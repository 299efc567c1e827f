"""What flows between the stages. Legend: B batch, K latent tokens, T text tokens, C channels.

Images are float tensors (B, 3, H, W) with values in [-1, 1], everywhere, declared here once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """Frozen encoder states of B captions, padded to a common T."""

    states: Tensor
    """(B, T, D_text)."""
    mask: Tensor
    """(B, T) bool, True for real tokens. A row without any is an absent caption."""

    def __post_init__(self) -> None:
        assert self.states.shape[:2] == self.mask.shape and self.mask.dtype == torch.bool

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TextFeatures:
        """The same features on ``device``, states in ``dtype``."""
        return TextFeatures(
            states=self.states.to(device, dtype), mask=self.mask.to(device, non_blocking=True)
        )

    def drop(self, rows_B: Tensor) -> TextFeatures:
        """Forget the captions of the rows where ``rows_B`` (bool) is True."""
        return replace(self, mask=self.mask & ~rows_B[:, None])

    def __getitem__(self, rows: Tensor | slice) -> TextFeatures:
        return TextFeatures(states=self.states[rows], mask=self.mask[rows])


@dataclass(frozen=True, kw_only=True)
class Latents:
    """A continuous 1-D code of B images."""

    mean: Tensor
    """(B, K, C): the code itself, or the mean of its distribution."""
    logvar: Tensor | None = None
    """(B, K, C) log-variance of a ``kl`` bottleneck; None for ``ae``."""

    def sample(self, noise_BKC: Tensor) -> Tensor:
        """Tokens (B, K, C) at standard-normal ``noise``: mean + exp(logvar / 2) * noise.

        The mean itself where there is no spread. The caller owns the noise, so that a run can be
        repeated exactly whatever the number of processes.
        """
        if self.logvar is None:
            return self.mean
        return self.mean + torch.exp(0.5 * self.logvar) * noise_BKC


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One micro-batch of captioned images, as the loader gives it."""

    images: Tensor
    """(B, 3, H, W) float32 in [-1, 1]."""
    captions: list[str]
    """One drawn caption an image; empty where there is none."""
    keys: list[str]
    """Unique name of each image in its data set."""
    labels: Tensor | None = None
    """(B,) int64 class of each image, where the set has classes."""

    def to(self, device: torch.device | str) -> Batch:
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            labels=None if self.labels is None else self.labels.to(device),
        )
