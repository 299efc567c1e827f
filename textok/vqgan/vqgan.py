"""A VQGAN: an image as a square of codes, and back.

Legend: B batch, N codes row by row, h = w codes a side, V codes, C numbers a code.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from textok.config import VQGANConfig
from textok.config.networks import UNKNOWN
from textok.nn.codebook import Codebook, RevivingCodebook
from textok.runtime.pretrained import accept_old_keys, find_folder, restored
from textok.runtime.repository import Pushable
from textok.types import Latents, Reconstruction
from textok.vqgan.network import Decoder, Encoder
from textok.vqgan.pretrained import OLD_KEYS, read_vqgan, write_vqgan


class VQGANDecoder(nn.Module):
    """Codebook and decoder: what decodes to pixels, for a tokenizer whose decoder names codes."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.grid = config.grid
        kind = RevivingCodebook if config.revive else Codebook
        self.codebook = kind(config.codebook_size, config.codebook_channels, l2_norm=config.l2_norm)
        self.decoder = Decoder(config)

    @property
    def last_layer(self) -> Tensor:
        """The weights that make the pixels."""
        return self.decoder.conv_out.weight

    def forward(self, weights_BNV: Tensor) -> Tensor:
        """Images (B, 3, H, W), not clamped, of the means of codes by ``weights``, which sum to 1.

        (TiTok, arXiv 2406.07550, section 3.2 and its code.)
        """
        return self.draw(weights_BNV @ self.codebook.normalise(self.codebook.vectors))

    def draw(self, vectors_BNC: Tensor) -> Tensor:
        """Images (B, 3, H, W) in float32 of vectors, row by row."""
        plane = rearrange(vectors_BNC, "B (h w) C -> B C h w", h=self.grid)
        images: Tensor = self.decoder(plane.to(self.decoder.conv_in.weight.dtype))
        return 2 * images.float() - 1


class VQGAN(Pushable, nn.Module):
    """Images to the nearest of V codes each ``factor`` pixels, and back (arXiv 2012.09841).

    Images are in [-1, 1]; inside they are in [0, 1], where the padding's zeros are black.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.trained_with: tuple[str, ...] = (UNKNOWN,)
        """Losses by pretrained networks that it was trained against; travels with it."""
        self.encoder = Encoder(config)
        self.decoder = VQGANDecoder(config)
        accept_old_keys(self, OLD_KEYS)

    @property
    def codebook(self) -> Codebook:
        return self.decoder.codebook

    def encode(self, images_B3HW: Tensor) -> Latents:
        """Images to codes (B, N) and their vectors (B, N, C), row by row.

        Raises ValueError if the images are not (B, 3, image_size, image_size).
        """
        return self._encode(images_B3HW)[0]

    def decode(self, latents: Latents | Tensor) -> Tensor:
        """Latents, vectors (B, N, C) or int64 codes (B, N) to images (B, 3, H, W), not clamped.

        Raises ValueError for other shapes, and for codes that there are not.
        """
        given = latents.mean if isinstance(latents, Latents) else latents
        vectors = given if given.is_floating_point() else self.codebook.lookup(given)
        count, width = self.config.grid**2, self.config.codebook_channels
        if vectors.ndim != 3 or vectors.shape[1:] != (count, width):
            raise ValueError(
                f"codes have shape {tuple(given.shape)}, this VQGAN takes (B, {count}), or their "
                f"vectors (B, {count}, {width})"
            )
        return self.decoder.draw(vectors)

    def forward(self, images_B3HW: Tensor) -> Reconstruction:
        """One training pass."""
        latents, pre_quant = self._encode(images_B3HW)
        assert latents.codes is not None
        codebook, commitment = self.codebook.losses(pre_quant, latents.codes)
        return Reconstruction(
            images=self.decoder.draw(latents.mean),
            latents=latents,
            codebook=codebook,
            commitment=commitment,
            pre_quant=pre_quant,
        )

    def save_pretrained(self, folder: str | Path, *, precision: torch.dtype | None = None) -> Path:
        """Write config.json and model.safetensors (in ``precision``)."""
        return write_vqgan(
            folder,
            self.config,
            self.state_dict(),
            trained_with=self.trained_with,
            precision=precision,
        )

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, token: str | None = None
    ) -> VQGAN:
        """Load a folder or a hub repository, in float32 and eval mode.

        ``revision`` is a branch, tag or commit of a repository, also written ``name@revision``;
        ``token`` stands in for HF_TOKEN.

        Raises ValueError naming the file, key or setting that does not fit.
        """
        config, state, trained_with = read_vqgan(
            find_folder(source, revision=revision, token=token)
        )
        vqgan = restored(partial(cls, config), state, where=source)
        vqgan.trained_with = trained_with
        return vqgan

    def _encode(self, images_B3HW: Tensor) -> tuple[Latents, Tensor]:
        """Latents, and (B, N, C) what took their codes."""
        size = self.config.image_size
        if images_B3HW.ndim != 4 or images_B3HW.shape[1:] != (3, size, size):
            raise ValueError(
                f"images have shape {tuple(images_B3HW.shape)}, this VQGAN takes "
                f"(B, 3, {size}, {size}) in [-1, 1]"
            )
        images = (images_B3HW + 1) / 2
        plane = self.encoder(images.to(self.encoder.conv_in.weight.dtype))
        pre_quant = rearrange(plane, "B C h w -> B (h w) C").float()
        vectors, codes = self.codebook(pre_quant)
        return Latents(mean=vectors, codes=codes), pre_quant
