"""What flows between the stages. Legend: B batch, K latent tokens, T text tokens, C channels.

Images are float tensors (B, 3, H, W) with values in [-1, 1], everywhere, declared here once.
Diffusion time t is 0 at the data and 1 at the noise, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


def upload(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """``tensor`` on ``device``: to a GPU by way of pinned memory, without waiting for it.

    What comes to the CPU is waited for.
    """
    target = torch.device(device)
    if target.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(target, dtype, non_blocking=target.type != "cpu")


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """Frozen encoder states of B captions, padded to a common T."""

    states: Tensor
    """(B, T, D_text)."""
    mask: Tensor
    """(B, T) bool, True for real tokens. A row without any is an absent caption."""
    full: bool = False
    """Whether the host knows that all tokens are real."""

    def __post_init__(self) -> None:
        assert self.states.shape[:2] == self.mask.shape and self.mask.dtype == torch.bool

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TextFeatures:
        """The same features on ``device``, states in ``dtype``.

        A mask that is on the CPU is looked at: a GPU need not be waited for.
        """
        return TextFeatures(
            states=upload(self.states, device, dtype),
            mask=upload(self.mask, device),
            full=self.full or (self.mask.device.type == "cpu" and bool(self.mask.all())),
        )

    @property
    def attended(self) -> Tensor | None:
        """(B, T) bool: what may be attended to; None where that is known to be all of it.

        Attention without a mask runs in kernels that take none.
        """
        return None if self.full else self.mask

    def drop(self, rows_B: Tensor) -> TextFeatures:
        """Forget the captions of the rows where ``rows_B`` (bool) is True."""
        return replace(self, mask=self.mask & ~rows_B[:, None], full=False)

    def __getitem__(self, rows: Tensor | slice) -> TextFeatures:
        return TextFeatures(states=self.states[rows], mask=self.mask[rows], full=self.full)

    @classmethod
    def cat(cls, several: Sequence[TextFeatures]) -> TextFeatures:
        """The rows of all, in order, padded to the longest T."""
        longest = max(features.mask.shape[1] for features in several)
        even = [features.padded(longest) for features in several]
        return cls(
            states=torch.cat([features.states for features in even]),
            mask=torch.cat([features.mask for features in even]),
            full=all(features.full for features in even),
        )

    def padded(self, length: int) -> TextFeatures:
        """The same with T = ``length``, where T is less."""
        gap = max(length - self.mask.shape[1], 0)
        return TextFeatures(
            states=F.pad(self.states, (0, 0, 0, gap)),
            mask=F.pad(self.mask, (0, gap)),
            full=self.full and not gap,
        )


@dataclass(frozen=True, kw_only=True)
class Latents:
    """A 1-D code of B images."""

    mean: Tensor
    """(B, K, C): the code itself, or the mean of its distribution."""
    logvar: Tensor | None = None
    """(B, K, C) log-variance of a ``kl`` bottleneck; None for others."""
    codes: Tensor | None = None
    """(B, K) int64 numbers of the codes that ``mean`` holds, of a ``vq`` bottleneck."""

    def sample(self, noise_BKC: Tensor) -> Tensor:
        """Tokens (B, K, C) at standard-normal ``noise``: mean + exp(logvar / 2) * noise.

        The mean itself where there is no log-variance. The caller owns the noise, so that a run can
        be repeated exactly whatever the number of processes.
        """
        if self.logvar is None:
            return self.mean
        return self.mean + torch.exp(0.5 * self.logvar) * noise_BKC

    def first(self, count: int) -> Latents:
        """The first ``count`` tokens of each image."""
        return self._each(lambda tensor: tensor[:, :count])

    def to(self, device: torch.device | str) -> Latents:
        return self._each(lambda tensor: upload(tensor, device))

    def __getitem__(self, rows: Tensor | slice) -> Latents:
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Latents:
        return Latents(
            mean=change(self.mean),
            logvar=None if self.logvar is None else change(self.logvar),
            codes=None if self.codes is None else change(self.codes),
        )


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """One pass of an autoencoder, with what its training needs."""

    images: Tensor | None
    """(B, 3, H, W) float32, not clamped; None where no image was requested."""
    latents: Latents
    logits: Tensor | None = None
    """(B, N, V) of the codes of a VQGAN, row by row, of ``output: codes``."""
    codebook: Tensor | None = None
    """Mean square that moves the codes of a ``vq`` bottleneck to the encoder's output."""
    commitment: Tensor | None = None
    """Mean square that moves the encoder's output to the codes."""
    pre_quant: Tensor | None = None
    """(B, K, C) what the encoder said, of a ``vq`` bottleneck."""
    velocity_error: Tensor | None = None
    """(B,) mean squared error of the velocity, of ``decoding: flow``; ``images`` then are the clean
    images that the decoder predicts from the noisy ones."""
    hidden: Tensor | None = None
    """(B, N, D) states of the decoder's patches after the block that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What B images are generated from: classes or captions, whichever the generator reads."""

    labels: Tensor | None = None
    """(B,) int64 class numbers; -1 is the null class."""
    text: TextFeatures | None = None
    """Caption features; a row without real tokens is the null condition."""

    def __post_init__(self) -> None:
        assert (self.labels is None) != (self.text is None), "labels or text, one of them"

    def __len__(self) -> int:
        return self.rows

    @property
    def rows(self) -> int:
        """B; unlike ``len``, of any value in a traced graph."""
        rows = self.labels if self.text is None else self.text.mask
        assert rows is not None
        return rows.shape[0]

    @property
    def tensors(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Labels, and the text's states and mask; ``of`` puts them together again."""
        if self.text is None:
            return self.labels, None, None
        return None, self.text.states, self.text.mask

    @classmethod
    def of(cls, labels: Tensor | None, states: Tensor | None, mask: Tensor | None) -> Condition:
        """The condition that has these ``tensors``."""
        if states is None or mask is None:
            return cls(labels=labels)
        return cls(text=TextFeatures(states=states, mask=mask))

    def padded(self, length: int) -> Condition:
        """The same, a text with T = ``length``, where T is less."""
        return self if self.text is None else Condition(text=self.text.padded(length))

    def drop(self, rows_B: Tensor) -> Condition:
        """Ask for nothing in the rows where ``rows_B`` (bool) is True."""
        if self.text is not None:
            return Condition(text=self.text.drop(rows_B))
        assert self.labels is not None
        return Condition(labels=self.labels.masked_fill(rows_B, -1))

    def nothing(self) -> Condition:
        """As many rows of the null condition."""
        rows = self.labels if self.text is None else self.text.mask
        assert rows is not None
        return self.drop(torch.ones(len(self), dtype=torch.bool, device=rows.device))

    def to(self, device: torch.device | str) -> Condition:
        return Condition(
            labels=None if self.labels is None else upload(self.labels, device),
            text=None if self.text is None else self.text.to(device),
        )

    def __getitem__(self, rows: Tensor | slice) -> Condition:
        return Condition(
            labels=None if self.labels is None else self.labels[rows],
            text=None if self.text is None else self.text[rows],
        )

    @classmethod
    def cat(cls, several: Sequence[Condition]) -> Condition:
        """The rows of all, in order; all are classes, or all are captions."""
        texts = [condition.text for condition in several if condition.text is not None]
        labels = [condition.labels for condition in several if condition.labels is not None]
        assert not (texts and labels), "labels or text, one of them"
        if texts:
            return cls(text=TextFeatures.cat(texts))
        return cls(labels=torch.cat(labels))


@dataclass(frozen=True, kw_only=True)
class LatentBatch:
    """One micro-batch of stored latents with what they were made of."""

    latents: Latents
    """As the tokenizer gave them, not normalised."""
    captions: list[str]
    """The caption that each was encoded with; empty where there was none."""
    keys: list[str]
    """Unique name of each image in its data set."""
    labels: Tensor | None = None
    """(B,) int64 class of each image, -1 without one; None where the set has no classes."""
    text: TextFeatures | None = None
    """Features of the captions, for a generator that is conditioned on them."""
    features: Tensor | None = None
    """(B, F) of each image in a frozen network, for a generator that is aligned with them."""

    @property
    def condition(self) -> Condition:
        """The captions where their features are known, the classes elsewhere."""
        return Condition(text=self.text) if self.text is not None else Condition(labels=self.labels)

    def to(self, device: torch.device | str) -> LatentBatch:
        return replace(
            self,
            latents=self.latents.to(device),
            labels=None if self.labels is None else upload(self.labels, device),
            text=None if self.text is None else self.text.to(device),
            features=None if self.features is None else upload(self.features, device),
        )


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
    text: TextFeatures | None = None
    """Features of the captions, where they were read with the images."""

    def to(self, device: torch.device | str) -> Batch:
        return replace(
            self,
            images=upload(self.images, device),
            labels=None if self.labels is None else upload(self.labels, device),
            text=None if self.text is None else self.text.to(device),
        )
