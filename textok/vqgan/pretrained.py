"""VQGANs as folders or hub repositories: config.json and model.safetensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from textok.config import VQGANConfig
from textok.config.networks import UNKNOWN
from textok.config.read import build_part
from textok.runtime.pretrained import (
    CONFIG,
    TRAINED_WITH,
    WEIGHTS,
    find_folder,
    read_config,
    read_trained_with,
    read_weights,
    rename_keys,
    write_model,
)

KIND = "vqgan"
OLD_KEYS = {"painter.": "decoder."}
"""Starts of former keys of weights, and what they are now."""


def write_vqgan(
    folder: str | Path,
    config: VQGANConfig,
    state: Mapping[str, Tensor],
    *,
    trained_with: Sequence[str] = (UNKNOWN,),
    precision: torch.dtype | None = None,
) -> Path:
    """Write a VQGAN's folder, each file whole or not at all."""
    parts = {KIND: dataclasses.asdict(config), TRAINED_WITH: list(trained_with)}
    return write_model(folder, parts, state, precision=precision)


def read_vqgan(source: str | Path) -> tuple[VQGANConfig, dict[str, Tensor], tuple[str, ...]]:
    """Read a folder or a hub repository: settings, weights as float32, what it was trained with.

    Raises ValueError naming the file or setting that does not fit.
    """
    folder = find_folder(source)
    path = folder / CONFIG
    data = read_config(path, KIND)
    config = build_part(VQGANConfig, data[KIND], path, KIND)
    state = read_weights(folder / WEIGHTS)
    rename_keys(state, OLD_KEYS)
    return config, state, read_trained_with(data, path)
