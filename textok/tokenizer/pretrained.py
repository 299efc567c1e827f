"""Tokenizers as folders or hub repositories: config.json, model.safetensors and a model card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textok.config import TextConfig, TokenizerConfig
from textok.config.networks import UNKNOWN
from textok.config.read import build_part
from textok.nn.positions import resize_grid
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
from textok.tokenizer.card import model_card

OLD_KEYS = {"painter.": "vqgan_decoder."}
"""Starts of former keys of weights, and what they are now."""
GRIDS = ("encoder.positions", "decoder.queries", "decoder.patch_positions")
"""Parameters (N, D) with one row a patch: interpolated when the image size changes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """What a tokenizer folder holds."""

    config: TokenizerConfig
    text: TextConfig | None
    state: dict[str, Tensor]
    trained_with: tuple[str, ...] = (UNKNOWN,)
    """Losses by pretrained networks that it was trained against."""


def write_tokenizer(
    folder: str | Path, saved: Saved, *, precision: torch.dtype | None = None
) -> Path:
    """Write a tokenizer folder, each file whole or not at all."""
    config: dict[str, Any] = {"tokenizer": dataclasses.asdict(saved.config)}
    if saved.text is not None:
        config["text"] = dataclasses.asdict(saved.text)
    config[TRAINED_WITH] = list(saved.trained_with)
    card = model_card(saved.config, saved.text)
    return write_model(folder, config, saved.state, card=card, precision=precision)


def read_tokenizer(
    source: str | Path,
    *,
    image_size: int | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Saved:
    """Read a bundled name, a folder or a hub repository; weights come as float32.

    ``image_size`` other than the saved one interpolates the grid positions. Raises ValueError
    naming the file or setting that does not fit.
    """
    folder = find_folder(source, part="tokenizer", revision=revision, token=token)
    path = folder / CONFIG
    data = read_config(path, "tokenizer")
    config = build_part(TokenizerConfig, data["tokenizer"], path, "tokenizer")
    text = build_part(TextConfig, data["text"], path, "text") if "text" in data else None
    state = read_weights(folder / WEIGHTS)
    rename_keys(state, OLD_KEYS)
    if image_size is not None and image_size != config.image_size:
        vqgan = config.vqgan
        if config.output == "codes":
            vqgan = dataclasses.replace(vqgan, image_size=image_size)
        config = dataclasses.replace(config, image_size=image_size, vqgan=vqgan)
        for key in GRIDS:
            if key in state:
                state[key] = resize_grid(state[key], config.grid)
    return Saved(config=config, text=text, state=state, trained_with=read_trained_with(data, path))
