"""Latents on disk: one safetensors file holds the tokens of some images and their captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from textok.config.check import require
from textok.runtime.files import atomic_write
from textok.runtime.untrusted import regular_file
from textok.types import Latents


def save_latents(path: Path, latents: Latents, captions: Sequence[str]) -> None:
    """Write ``mean`` and ``logvar`` (B, K, C) as they are, ``codes`` (B, K) as int32.

    Captions and K are in the metadata.
    """
    tensors = {"mean": latents.mean.cpu().contiguous()}
    if latents.logvar is not None:
        tensors["logvar"] = latents.logvar.cpu().contiguous()
    if latents.codes is not None:
        tensors["codes"] = latents.codes.to("cpu", torch.int32).contiguous()
    assert len(captions) == len(latents.mean)
    metadata = {
        "captions": json.dumps(list(captions), ensure_ascii=False),
        "num_tokens": str(latents.mean.shape[1]),
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_latents(path: Path) -> tuple[Latents, list[str]]:
    """The latents of ``save_latents`` and their captions. Raises ValueError for another file."""
    try:
        with safe_open(regular_file(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            captions = json.loads((file.metadata() or {})["captions"])
        codes = tensors["codes"].long() if "codes" in tensors else None
        latents = Latents(mean=tensors["mean"], logvar=tensors.get("logvar"), codes=codes)
        texts = isinstance(captions, list) and all(isinstance(text, str) for text in captions)
        require(latents.mean.ndim == 3, "its mean is not (images, K, C)")
        require(texts and len(captions) == len(latents.mean), "it has no caption for each image")
        return latents, captions
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a file of latents ({error})") from error
