"""Generators from folders or hub repositories: config.json and model.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import Tensor

from textok.config.generator import TokenGeneratorConfig
from textok.config.read import build_part
from textok.runtime.pretrained import (
    CONFIG,
    WEIGHTS,
    find_folder,
    read_config,
    read_weights,
)

C = TypeVar("C", bound=TokenGeneratorConfig)


def read_generator(source: str | Path, kind: str, config: type[C]) -> tuple[C, dict[str, Tensor]]:
    """Read a folder or a hub repository of that ``kind`` of generator; weights come as float32.

    Raises ValueError naming the file or setting that does not fit.
    """
    folder = find_folder(source, part="generator")
    path = folder / CONFIG
    part = read_config(path, kind)[kind]
    return build_part(config, part, path, kind), read_weights(folder / WEIGHTS)
