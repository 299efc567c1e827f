"""Generators as folders or hub repositories: config.json and model.safetensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from textok.config.generator import GeneratorConfig
from textok.config.read import build
from textok.runtime.pretrained import (
    CONFIG,
    WEIGHTS,
    find_folder,
    read_config,
    read_weights,
    write_model,
)


def write_folder(
    folder: str | Path,
    config: GeneratorConfig,
    state: Mapping[str, Tensor],
    *,
    precision: torch.dtype | None = None,
) -> Path:
    """Write a generator's folder, each file whole or not at all."""
    parts = {"generator": dataclasses.asdict(config)}
    return write_model(folder, parts, state, precision=precision)


def read_folder(source: str | Path) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Read a folder or a hub repository; weights come as float32.

    Raises ValueError naming the file or setting that does not fit.
    """
    folder = find_folder(source, part="generator")
    path = folder / CONFIG
    part = read_config(path, "generator")["generator"]
    return build(GeneratorConfig, part, where=f"{path}: generator"), read_weights(folder / WEIGHTS)
