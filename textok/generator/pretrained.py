"""Generators from folders or hub repositories: config.json and model.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import Tensor

from textok.config.generator import TokenGeneratorConfig
from textok.config.read import build_part
from textok.runtime.pretrained import (
    CONFIG,
    TRAINED_WITH,
    WEIGHTS,
    find_folder,
    read_config,
    read_json,
    read_trained_with,
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


def generator_trained_with(source: str | Path) -> tuple[str, ...]:
    """The networks that a generator in a folder was trained against; none where it names none.

    Raises ValueError for what is no list of names.
    """
    path = find_folder(source, part="generator") / CONFIG
    return read_trained_with({TRAINED_WITH: [], **read_json(path)}, path)
