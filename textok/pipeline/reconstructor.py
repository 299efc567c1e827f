"""Pictures and captions to tokens and back: the tokenizer, its text encoder and pixels joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from textok.config import DecodingConfig
from textok.config.bundled import BUNDLED
from textok.data.pixels import pil_to_square, to_pil, to_tensor
from textok.text import FeatureCache, load_text_encoder
from textok.tokenizer import Tokenizer
from textok.types import Latents, TextFeatures

Pictures: TypeAlias = Image.Image | Sequence[Image.Image] | Tensor
"""One picture, several, or a tensor (B, 3, H, W) in [-1, 1] of the tokenizer's image size."""
Captions: TypeAlias = str | Sequence[str] | None
"""One caption an image; "" or None where there is none."""


def decoding_seeds(keys: Sequence[str]) -> list[int]:
    """A seed for the decoding of each image, of its key alone: the same in any batch."""
    return [crc32(key.encode("utf-8", "surrogatepass")) for key in keys]


class Reconstructor:
    """A tokenizer that takes pictures and captions.

    Pictures of any size and mode are resized so that their shorter side fits the tokenizer's
    image size, and cropped to the central square. Captions go to the encoder, the decoder or
    both, as the tokenizer was trained; one that reads no text ignores them. The text encoder
    that the tokenizer names is loaded at the first caption, unless ``text`` gives its features.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        text: Callable[[Sequence[str]], TextFeatures] | None = None,
        text_cache: Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.tokenizer = tokenizer.to(device, dtype).eval()
        self.config = tokenizer.config
        self.device = torch.device(device)
        self._text_cache = text_cache
        self._text = text
        self._latest: tuple[list[str], TextFeatures] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = BUNDLED,
        *,
        text_cache: Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Reconstructor:
        """Load ``products`` (the bundled model), a folder or a hub name.

        ``text_cache`` keeps caption features in a folder between runs.
        """
        tokenizer = Tokenizer.from_pretrained(name)
        return cls(tokenizer, text_cache=text_cache, device=device, dtype=dtype)

    @torch.inference_mode()
    def encode(
        self, pictures: Pictures, captions: Captions = None, *, num_tokens: int | None = None
    ) -> Latents:
        """Pictures to Latents (B, K, C), or to their first ``num_tokens`` tokens.

        Raises ValueError where captions and pictures differ in number.
        """
        images = self._images(pictures)
        return self.tokenizer.encode(
            images, self._features(captions, len(images)), num_tokens=num_tokens
        )

    @torch.inference_mode()
    def decode_tensor(
        self,
        latents: Latents,
        captions: Captions = None,
        *,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
    ) -> Tensor:
        """Latents to images (B, 3, H, W), not clamped.

        Where there are codes these count, and the mean may be rounded. ``seeds``, one an image, and
        ``decoding`` are for tokenizers that sample images (``Tokenizer.decode``). Raises ValueError
        for codes that the tokenizer has not, and where captions and latents differ in number.
        """
        tokens = latents.mean if latents.codes is None else latents.codes
        features = self._features(captions, len(tokens))
        return self.tokenizer.decode(
            tokens.to(self.device), features, seeds=seeds, decoding=decoding
        )

    def decode(
        self,
        latents: Latents,
        captions: Captions = None,
        *,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
    ) -> list[Image.Image]:
        """Latents to pictures; the arguments are those of ``decode_tensor``."""
        images = self.decode_tensor(latents, captions, seeds=seeds, decoding=decoding)
        return [to_pil(image) for image in images.cpu()]

    def reconstruct(
        self,
        pictures: Pictures,
        captions: Captions = None,
        *,
        num_tokens: int | None = None,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
    ) -> list[Image.Image]:
        """Pictures through ``num_tokens`` tokens (all K without it) and back."""
        latents = self.encode(pictures, captions, num_tokens=num_tokens)
        return self.decode(latents, captions, seeds=seeds, decoding=decoding)

    def prepare(self, picture: Image.Image) -> Image.Image:
        """The central square of ``picture`` as the tokenizer sees it.

        Turned as its EXIF orientation asks, transparent parts on white.
        """
        picture = ImageOps.exif_transpose(picture)
        if picture.has_transparency_data:
            layer = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return Image.fromarray(pil_to_square(picture, self.config.image_size))

    def warm(self, captions: Sequence[str]) -> None:
        """Put the features of ``captions`` into the cache, where there is one."""
        if self._text_cache is not None and self.config.text != "none":
            cache = self._text_function()
            assert isinstance(cache, FeatureCache)
            cache.warm(captions)

    def _images(self, pictures: Pictures) -> Tensor:
        if isinstance(pictures, Tensor):
            return pictures.to(self.device)
        several = [pictures] if isinstance(pictures, Image.Image) else pictures
        squares = [to_tensor(np.array(self.prepare(picture))) for picture in several]
        return torch.stack(squares).to(self.device)

    def _features(self, captions: Captions, batch: int) -> TextFeatures | None:
        """Features of one caption an image; None where there is nothing to read or no reader."""
        several = [captions] if isinstance(captions, str) else captions
        if several is None:
            return None
        if len(several) != batch:
            raise ValueError(f"{len(several)} captions for {batch} images: give one an image")
        if self.config.text == "none" or not any(caption.strip() for caption in several):
            return None
        # Encoding and decoding ask for the same captions one after the other.
        if self._latest is None or self._latest[0] != list(several):
            features = self._text_function()(several).to(self.device)
            self._latest = list(several), features
        return self._latest[1]

    def _text_function(self) -> Callable[[Sequence[str]], TextFeatures]:
        if self._text is None:
            config = self.tokenizer.text_config
            if config is None:
                raise ValueError("this tokenizer names no text encoder: use it without captions")
            if self._text_cache is None:
                self._text = load_text_encoder(config, device=self.device)
            else:
                self._text = FeatureCache(config, self._text_cache, device=self.device)
        return self._text
