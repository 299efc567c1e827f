"""Official checkpoints rebuilt from the fixtures, and what they became."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.convert.recipe import weights
from textok.config import VIT_SIZES, ViTConfig
from textok.convert import convert_1d_tokenizer

Convert = Callable[[str], Path]

FOLDER = Path(__file__).parent / "fixtures"
TINY = {
    "small": ViTConfig(width=32, depth=2, heads=2),
    "base": ViTConfig(width=48, depth=3, heads=3),
    "large": ViTConfig(width=64, depth=2, heads=4),
}
"""As in peer.py."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """An official model: its configuration, its state and what it gave."""

    config: dict[str, Any]
    shapes: dict[str, list[int]]
    outputs: dict[str, Tensor]

    @property
    def state(self) -> dict[str, Tensor]:
        return weights(self.shapes)

    def write(self, folder: Path) -> Path:
        """The folder as the official code writes it, but for the kind of file."""
        folder.mkdir(parents=True)
        torch.save(self.state, folder / "pytorch_model.bin")
        (folder / "config.json").write_text(json.dumps(self.config))
        return folder


def recorded(name: str) -> Recorded:
    about = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / f"{name}.npz") as arrays:
        outputs = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    return Recorded(config=about["config"], shapes=about["shapes"], outputs=outputs)


@pytest.fixture(autouse=True, scope="module")
def _tiny_sizes() -> Iterator[None]:
    """The sizes of the fixtures count as published ones, to the tests of this folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in TINY.items():
            patch.setitem(VIT_SIZES, f"tiny {name}", size)
        yield


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """The folder that a fixture was converted into, once."""
    done: dict[str, Path] = {}

    def convert(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            source = recorded(name).write(folder / "official")
            convert_1d_tokenizer(str(source), folder / "ours")
            done[name] = folder / "ours"
        return done[name]

    return convert
