"""A whole textok pipeline as one component of a pipeline of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin

from textok.config.check import require
from textok.pipeline.diffusers.saving import DiffusersSaving
from textok.pipeline.folder import PipelineParts, load_pipeline, save_pipeline
from textok.pipeline.text_to_image import TextToImage

UNSUPPORTED = ("device_map", "quantization_config", "variant")


class TexTokModel(DiffusersSaving, ModelMixin):  # type: ignore[misc]
    """Tokenizer and generator, which `pipe.to(...)` moves; text encoders follow when they read."""

    def __init__(self, parts: PipelineParts) -> None:
        super().__init__()
        self.tokenizer, self.generator = parts.tokenizer, parts.generator
        self.parts = parts
        self._drawing: TextToImage | None = None
        self._where: tuple[torch.device, torch.dtype] | None = None

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        **others: Any,
    ) -> TexTokModel:
        """Load a pipeline folder of textok.

        Raises ValueError for what is no such folder, and for a device map, quantisation or variant.
        """
        asked = [name for name in UNSUPPORTED if others.get(name) is not None]
        require(not asked, f"textok takes no {', '.join(asked)}: leave it out")
        return cls(load_pipeline(folder)).to(dtype or torch_dtype or torch.float32)

    def write_files(self, folder: Path, *, precision: torch.dtype | None) -> None:
        """Write a pipeline folder of textok, whole or not at all."""
        save_pipeline(folder, self.parts, precision=precision)

    def drawing(self) -> TextToImage:
        """What generates where the model is now, in the numbers that it has now."""
        where = (self.device, self.dtype)
        if self._drawing is None or self._where != where:
            self._drawing = TextToImage(self.parts, device=where[0], dtype=where[1])
            self._where = where
        return self._drawing
