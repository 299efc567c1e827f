"""Checkpoints from files, folders and the hub: tensors and, beside them, what config.json says."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from textok.config.check import require
from textok.runtime.pretrained import CONFIG, WEIGHTS, find_folder, read_json

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
ENDINGS = (*PICKLES, ".safetensors")
WRAPPERS = ("ema", "model_ema", "ema_model", "state_dict", "model", "module")
"""Under which of its names a checkpoint may hold the weights, those to be preferred first."""
TORCH_FILE = (b"PK", b"\x80")
"""How a zip archive and a pickle begin."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What somebody released."""

    where: str
    tensors: dict[str, Tensor]
    """By their official names, floating ones as float32."""
    settings: Mapping[str, Any]
    """The official ``config.json``; empty where there is none."""


def read_source(source: str) -> Checkpoint:
    """Read a file of weights, a folder or a hub repository.

    Of a pickle only tensors in plain containers are loaded. Raises ValueError, one line, for what
    is missing, damaged or holds anything else.
    """
    path = Path(source)
    if path.suffix in ENDINGS and not path.is_dir():
        require(path.is_file(), f"{source}: no such file")
        return Checkpoint(where=source, tensors=_read_file(path), settings={})
    folder = path if path.is_dir() else _fetch(source)
    file = _file_in(folder)
    known = folder / CONFIG
    settings = read_json(known) if known.is_file() else {}
    return Checkpoint(where=str(file), tensors=_read_file(file), settings=settings)


def _fetch(source: str) -> Path:
    try:
        return find_folder(source)
    except ValueError as error:
        reason = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        raise ValueError(
            f"{source}: no such file or folder, and no hub repository that can be reached{reason}; "
            f"download the weights and give the file ({', '.join(ENDINGS)}) or its folder"
        ) from error


def _file_in(folder: Path) -> Path:
    """The one file of weights of a folder."""
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    files = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)
    require(bool(files), f"{folder}: holds no weights ({', '.join(ENDINGS)})")
    names = ", ".join(path.name for path in files[:3])
    require(len(files) == 1, f"{folder}: holds {len(files)} files of weights ({names}): name one")
    return files[0]


def _read_file(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        start = file.read(64)
    require(
        not start.startswith(b"version https://git-lfs"),
        f"{path}: a pointer of Git LFS, not the weights: fetch them with `git lfs pull`",
    )
    if path.suffix == ".safetensors":
        try:
            state: object = load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path}: damaged or not safetensors ({error}); copy it again"
            ) from None
    else:
        state = _read_pickle(path, start)
    tensors = _unwrapped(state, path)
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors}


def _read_pickle(path: Path, start: bytes) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        require(start.startswith(TORCH_FILE), f"{path}: not a checkpoint of PyTorch")
        raise ValueError(
            f"{path}: not loaded, because it holds more than weights (objects or code, which could "
            "do anything); save its state dict alone"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError):
        raise ValueError(
            f"{path}: damaged, or not a checkpoint of PyTorch; copy it again"
        ) from None


def _unwrapped(state: object, path: Path) -> list[tuple[str, Tensor]]:
    """The tensors by name, out of the dictionaries that a training script puts around them."""
    while isinstance(state, dict) and not any(
        isinstance(value, Tensor) for value in state.values()
    ):
        inner = [state[name] for name in WRAPPERS if isinstance(state.get(name), dict)]
        if not inner:
            break
        state = inner[0]
    tensors = state if isinstance(state, dict) else {}
    strange = [key for key, value in tensors.items() if not isinstance(value, Tensor)]
    require(
        bool(tensors) and not strange,
        f"{path}: not a state dict"
        + (f" ({', '.join(map(str, strange[:3]))} is no tensor)" if strange else ""),
    )
    return [(str(key).removeprefix("module."), value) for key, value in tensors.items()]
