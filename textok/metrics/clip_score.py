"""CLIP score: the cosine between an image and its caption, as a CLIP model sees them.

Legend: B images, D width of the common space, T text tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pixels in [0, 1] that CLIP was trained on (arXiv 2103.00020)."""
PROTOCOL = (
    "100 x max(cosine, 0), mean over pictures, as text-to-image papers report it; Hessel et al. "
    "2021 (arXiv 2104.08718) have 2.5 in place of 100"
)


@dataclass(frozen=True, kw_only=True)
class ClipScore:
    """A frozen CLIP model that judges images by their captions."""

    name: str
    """The folder or hub name it came from."""
    score: Callable[[Tensor, Sequence[str]], Tensor]
    """Images (B, 3, H, W) in [-1, 1] and B captions to 100 max(cos, 0), (B,) on the CPU."""


def load_clip_score(model: str | Path, *, device: torch.device | str = "cpu") -> ClipScore:
    """The score by a transformers CLIP model, from a folder or a hub name.

    Captions longer than the model's text are cut. Raises ValueError where it cannot be loaded.
    """
    import transformers

    auto_tokenizer: Any = transformers.AutoTokenizer
    try:
        tokenizer = auto_tokenizer.from_pretrained(str(model))
        network: Any = transformers.CLIPModel.from_pretrained(str(model))
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--clip {model}: no CLIP model can be loaded there ({reason})") from error
    network = network.requires_grad_(False).eval().to(device)
    size = network.config.vision_config.image_size
    length = network.config.text_config.max_position_embeddings

    @torch.inference_mode()
    def score(pictures_B3HW: Tensor, captions: Sequence[str]) -> Tensor:
        tokens = tokenizer(
            list(captions), padding=True, truncation=True, max_length=length, return_tensors="pt"
        ).to(device)
        found = network(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=_prepare(pictures_B3HW.to(device), size),
        )
        cosine_B = F.cosine_similarity(found.image_embeds.float(), found.text_embeds.float())
        return 100 * cosine_B.clamp(min=0).cpu()

    return ClipScore(name=str(model), score=score)


def _prepare(pictures_B3HW: Tensor, size: int) -> Tensor:
    """Square images as CLIP takes them: bicubic to ``size``, its own mean and deviation."""
    pixels = (pictures_B3HW.float() + 1) / 2
    resized = F.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (resized - mean) / std
