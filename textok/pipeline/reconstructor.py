"""Images and captions to tokens and back: the tokenizer, its text encoder and pixels joined."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from zlib import crc32

import torch
from PIL import Image
from torch import Tensor

from textok.config import DecodingConfig
from textok.config.bundled import BUNDLED
from textok.config.check import whole_number
from textok.config.decoding import AS_TRAINED
from textok.config.networks import RunPrecision
from textok.data.pixels import to_pil
from textok.nn.linear import use_packed
from textok.pipeline.inputs import (
    Captions,
    Picture,
    Pictures,
    checked,
    read_captions,
    read_picture,
    read_pictures,
    read_texts,
)
from textok.runtime.device import check_dtype, check_precision, pick_device, run_in
from textok.text import TextFeaturesSource, open_features
from textok.tokenizer import Tokenizer
from textok.tokenizer.flow_decoder import whole_seeds
from textok.types import Latents, TextFeatures

NEXT_DRAW = 2**32
"""Between the seed of one sample of an image and that of its next."""


def decoding_seeds(keys: Sequence[str], *, draw: int = 0) -> list[int]:
    """A seed for the decoding of each image, of its key alone: the same in any batch.

    Draws 0, 1, ... give other ones.
    """
    return [crc32(key.encode("utf-8", "surrogatepass")) + draw * NEXT_DRAW for key in keys]


class Reconstructor:
    """A tokenizer that takes images and captions.

    Images are PIL images, paths, uint8 arrays or tensors of any size, which are resized so that
    their shorter side fits the tokenizer's image size and cropped to the central square, or float
    tensors in [-1, 1] of that size; or a list of any of these (``textok.pipeline.inputs``).
    Captions, a text or None for each image, go to the encoder, the decoder or both, as the
    tokenizer was trained; one that reads no text ignores them. The text encoder that the tokenizer
    names is loaded at the first caption, unless ``text`` gives its features.
    ``precision`` is what the tokenizer runs in (``textok.runtime.device.run_in``); its results are
    float32. ``tokenizer`` is moved and converted as it is, not copied.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        text: TextFeaturesSource | None = None,
        text_cache: str | Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: RunPrecision = "fp32",
    ) -> None:
        check_precision(device, precision)
        self.precision: RunPrecision = precision
        self.tokenizer = tokenizer.to(device, dtype).eval()
        self.config = tokenizer.config
        self.device = torch.device(device)
        self._text_cache = None if text_cache is None else Path(text_cache)
        self._text = text
        self._last: tuple[tuple[str, ...], TextFeatures] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = BUNDLED,
        *,
        text_cache: str | Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: RunPrecision = "fp32",
        revision: str | None = None,
        token: str | None = None,
    ) -> Reconstructor:
        """Load ``products`` (the bundled model), a folder or a hub name.

        ``revision`` is a branch, tag or commit of a repository, also written ``name@revision``;
        ``token`` stands in for HF_TOKEN.

        ``text_cache`` keeps caption features in a folder between runs. Raises ValueError for a
        model that cannot be read, and for tf32 on a device that has none.
        """
        check_dtype(dtype)
        device = pick_device(str(device))
        tokenizer = Tokenizer.from_pretrained(name, revision=revision, token=token)
        use_packed(tokenizer)
        return cls(
            tokenizer, text_cache=text_cache, device=device, dtype=dtype, precision=precision
        )

    @torch.inference_mode()
    def encode(
        self, pictures: Pictures, captions: Captions = None, *, num_tokens: int | None = None
    ) -> Latents:
        """Images to Latents (B, K, C), or to their first ``num_tokens`` tokens.

        Raises ValueError for what is no image or caption, saying what is taken, and where their
        numbers differ.
        """
        images = read_pictures(pictures, self.config.image_size).to(self.device)
        features = self.features(captions, len(images))
        with run_in(self.device, self.precision):
            return self.tokenizer.encode(images, features, num_tokens=num_tokens)

    @torch.inference_mode()
    def decode_tensor(
        self,
        latents: Latents | Tensor,
        captions: Captions = None,
        *,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        """Latents to images (B x num_samples, 3, H, W), not clamped; those of the first one first.

        Where there are codes these count, and the mean may be rounded. In place of Latents, tokens
        (B, k, C) or codes (B, k). ``seeds``, one an image,
        ``decoding`` and ``num_samples`` are for tokenizers that sample images
        (``Tokenizer.decode``); sample j has the seed of ``decoding_seeds(..., draw=j)``. Raises
        ValueError for codes that the tokenizer has not, for several samples where it samples none,
        and where captions and latents differ in number.
        """
        num_samples = whole_number("num_samples", num_samples, 1)
        decoding = checked(DecodingConfig, decoding, "decoding")
        tokens = _tokens(latents)
        features = self.features(captions, len(tokens))
        if num_samples > 1:
            self.config.sampled_by(AS_TRAINED, num_samples=num_samples)
            own = whole_seeds(seeds, len(tokens))
            rows = torch.arange(len(tokens)).repeat_interleave(num_samples)
            tokens = tokens[rows.to(tokens.device)]
            features = None if features is None else features[rows.to(self.device)]
            seeds = [seed + draw * NEXT_DRAW for seed in own for draw in range(num_samples)]
        with run_in(self.device, self.precision):
            images: Tensor = self.tokenizer.decode(
                tokens.to(self.device), features, seeds=seeds, decoding=decoding
            )
        return images if self.precision == "fp32" else images.float()

    def decode(
        self,
        latents: Latents | Tensor,
        captions: Captions = None,
        *,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
        num_samples: int = 1,
    ) -> list[Image.Image]:
        """Latents to images; the arguments are those of ``decode_tensor``."""
        images = self.decode_tensor(
            latents, captions, seeds=seeds, decoding=decoding, num_samples=num_samples
        )
        return [to_pil(image) for image in images.cpu()]

    def reconstruct(
        self,
        pictures: Pictures,
        captions: Captions = None,
        *,
        num_tokens: int | None = None,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
        num_samples: int = 1,
    ) -> list[Image.Image]:
        """Images through ``num_tokens`` tokens (all K without it) and back.

        The other arguments are those of ``decode_tensor``.
        """
        latents = self.encode(pictures, captions, num_tokens=num_tokens)
        return self.decode(
            latents, captions, seeds=seeds, decoding=decoding, num_samples=num_samples
        )

    def prepare(self, picture: Picture) -> Image.Image:
        """The central square of ``picture`` as the tokenizer sees it.

        Turned as its EXIF orientation asks, transparent parts on white. Raises ValueError for what
        is no image.
        """
        return read_picture(picture, self.config.image_size)

    def warm(self, captions: Sequence[str]) -> None:
        """Put the features of ``captions`` into the cache, where there is one."""
        texts = read_texts(captions, "caption")
        if self.config.text != "none" and any(map(str.strip, texts)):
            self._source.warm(texts)

    def features(self, captions: Captions, batch: int) -> TextFeatures | None:
        """Features of one caption an image; None where there is nothing to read or no reader."""
        texts = read_captions(captions, batch)
        if texts is None or self.config.text == "none" or not any(map(str.strip, texts)):
            return None
        # Decoding needs the features that encoding needed just before.
        last = self._last
        if last is None or last[0] != tuple(texts):
            last = self._last = (tuple(texts), self._source(texts).to(self.device))
        return last[1]

    @cached_property
    def _source(self) -> TextFeaturesSource:
        if self._text is not None:
            return self._text
        config = self.tokenizer.text_config
        if config is None:
            raise ValueError("this tokenizer names no text encoder: use it without captions")
        return open_features(config, folder=self._text_cache, device=self.device)


def _tokens(latents: object) -> Tensor:
    """What is decoded: codes where there are, else the mean."""
    if isinstance(latents, Latents):
        return latents.mean if latents.codes is None else latents.codes
    if isinstance(latents, Tensor) and latents.ndim in (2, 3):
        return latents
    found = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
    raise ValueError(
        f"latents are {found}: give the Latents of `encode`, tokens (B, k, C) or codes (B, k)"
    )
