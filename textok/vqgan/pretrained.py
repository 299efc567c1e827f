"""VQGANs as folders or hub repositories: config.json and model.safetensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from textok.config import VQGANConfig
from textok.config.read import build
from textok.runtime.pretrained import (
    CONFIG,
    WEIGHTS,
    find_folder,
    read_config,
    read_weights,
    write_model,
)

KIND = "vqgan"


def write_folder(
    folder: str | Path,
    config: VQGANConfig,
    state: Mapping[str, Tensor],
    *,
    precision: torch.dtype | None = None,
) -> Path:
    """Write a VQGAN's folder, each file whole or not at all."""
    return write_model(folder, {KIND: dataclasses.asdict(config)}, state, precision=precision)


def read_folder(source: str | Path) -> tuple[VQGANConfig, dict[str, Tensor]]:
    """Read a folder or a hub repository; weights come as float32.

    Raises ValueError naming the file or setting that does not fit.
    """
    folder = find_folder(source)
    path = folder / CONFIG
    part = read_config(path, KIND)[KIND]
    return build(VQGANConfig, part, where=f"{path}: {KIND}"), read_weights(folder / WEIGHTS)
