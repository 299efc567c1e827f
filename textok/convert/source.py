"""Checkpoints from files, folders and the hub: tensors and, beside them, what config.json says."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from textok.config.check import require
from textok.convert.state_dict import AVERAGES, find_state_dict
from textok.runtime.pretrained import CONFIG, WEIGHTS, find_folder, read_json

ENDINGS = (".bin", ".pt", ".pth", ".pth.tar", ".ckpt", ".safetensors")
"""In capitals as well."""
TORCH_FILE = (b"PK", b"\x80")
"""How a zip archive and a pickle begin."""
SAFE_FILE = b'{"'
"""How the header of a safetensors file begins, after its length of eight bytes."""
NO_PICKLE = "Unsupported operand"
"""In what PyTorch says of a zip archive of a few bytes, which it takes for a pickle."""
STATES = re.compile(
    r"(optimizer|scheduler|sampler|scaler|training_args|random_states|rng_state)(_\d+)?\."
)
"""Files beside the weights that hold the state of a training."""
UNWRAPPED = "unwrapped_model"
"""1d-tokenizer's folder of the weights alone, in that of a checkpoint."""
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
PART = re.compile(r"(?P<name>.+)-\d{5}-of-(?P<count>\d{5})(?P<ending>\..+)")
"""One of the files that large weights are split into."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What somebody released, or trained."""

    where: str
    tensors: dict[str, Tensor]
    """By their official names."""
    settings: Mapping[str, Any]
    """The official ``config.json``; empty where there is none."""
    note: str | None = None
    """What was chosen of several weights."""


def read_source(source: str, starts: Collection[str]) -> Checkpoint:
    """Read a file of weights, a folder, that of a training, or a hub repository.

    Of weights in several parts any one stands for all.
    ``starts`` are what keys of a model begin with. Of a training the average of its latest
    checkpoint is taken. Of a pickle only tensors in plain containers are loaded. Raises
    ValueError, one line, for what is missing, damaged or holds anything else.
    """
    path = Path(source)
    if not path.is_dir() and (_is_weights(path) or path.exists()):
        require(path.is_file(), f"{source}: no such file")
        file, folder = path, path.parent
        where = source
        settings: Mapping[str, Any] = {}
    else:
        folder = path if path.is_dir() else _fetch(source)
        file = _file_in(folder)
        where, settings = str(file), _settings(file.parent) or _settings(folder)
    found = find_state_dict(_read_parts(file), starts, where=where)
    for key, value in found.tensors.items():
        stored = value.untyped_storage().nbytes()
        require(value.nbytes <= stored, f"{where}: {key} is {value.nbytes:,} bytes of {stored:,}")
    note = None
    if found.average is not None:
        note = f"{where}: the average of the weights ({found.average}) is converted"
    elif file.parent.name in AVERAGES and file.parent != path:
        note = f"{where}: the average of the weights is converted, not the last ones beside it"
    elif (other := _average_beside(file)) is not None:
        note = f"{where}: the last weights are converted; their average lies in {other}"
    elif CHECKPOINT.fullmatch(file.parent.name) and file.parent != path and path.is_dir():
        note = f"{where}: the latest weights are converted"
    return Checkpoint(where=where, tensors=found.tensors, settings=settings, note=note)


def _settings(folder: Path) -> Mapping[str, Any]:
    known = folder / CONFIG
    return read_json(known) if known.is_file() else {}


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
    """The one file of weights of a folder, an average rather than what it is of."""
    for name in AVERAGES:
        if _files(folder / name):
            return _file_in(folder / name)
    files = list({_parts(path)[0]: path for path in _files(folder)}.values())
    if not files and _files(folder / UNWRAPPED):
        return _file_in(folder / UNWRAPPED)
    if not files:
        names = (CHECKPOINT.fullmatch(path.name) for path in folder.iterdir() if path.is_dir())
        numbers = [int(name[1]) for name in names if name]
        require(bool(numbers), f"{folder}: holds no weights ({', '.join(ENDINGS)})")
        return _file_in(folder / f"checkpoint-{max(numbers)}")
    if folder / WEIGHTS in files:
        return folder / WEIGHTS
    named = ", ".join(path.name for path in files[:3])
    require(len(files) == 1, f"{folder}: holds {len(files)} files of weights ({named}): name one")
    return files[0]


def _files(folder: Path) -> list[Path]:
    """Those of weights in a folder, which need not be there."""
    return sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if _is_weights(path) and path.is_file() and not STATES.match(path.name)
    )


def _is_weights(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _parts(file: Path) -> list[Path]:
    """The files that weights are split into; mostly the one."""
    part = PART.fullmatch(file.name)
    if part is None:
        return [file]
    several = range(1, int(part["count"]) + 1)
    names = (f"{part['name']}-{n:05}-of-{part['count']}{part['ending']}" for n in several)
    return [file.with_name(name) for name in names] or [file]


def _average_beside(file: Path) -> Path | None:
    """The folder of an average beside a file of weights, or beside its folder."""
    folder = file.parent.parent if file.parent.name == UNWRAPPED else file.parent
    return next((folder / name for name in AVERAGES if _files(folder / name)), None)


def _read_parts(file: Path) -> object:
    parts = _parts(file)
    lost = [part.name for part in parts if not part.is_file()]
    require(
        not lost, f"{file}: one of {len(parts)} parts, of which {', '.join(lost[:3])} is missing"
    )
    if len(parts) == 1:
        return _read_file(file)
    whole: dict[object, object] = {}
    for part in parts:
        content = _read_file(part)
        if not isinstance(content, dict):
            raise ValueError(f"{part}: not a state dict")
        whole |= content
    return whole


def _read_file(path: Path) -> object:
    with path.open("rb") as file:
        start = file.read(64)
    require(
        not start.startswith(b"version https://git-lfs"),
        f"{path}: a pointer of Git LFS, not the weights: fetch them with `git lfs pull`",
    )
    if path.suffix.lower() == ".safetensors" or start[8:10] == SAFE_FILE:
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(
                f"{path}: damaged or not safetensors ({error}); copy it again"
            ) from None
    return _read_pickle(path, start)


def _read_pickle(path: Path, start: bytes) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is said below
            found: object = torch.load(path, map_location="cpu", weights_only=True)
            return found
    except pickle.UnpicklingError as error:
        require(start.startswith(TORCH_FILE), f"{path}: not a checkpoint of PyTorch")
        zipped = start.startswith(b"PK")
        require(not (zipped and NO_PICKLE in str(error)), f"{path}: damaged; copy it again")
        raise ValueError(
            f"{path}: not loaded, because it holds more than weights (objects or code, which could "
            "do anything); save its state dict alone"
        ) from None
    # A cut archive is almost any of these, an OSError without a file's name among them.
    except (RuntimeError, EOFError, ValueError, LookupError, OSError, AttributeError, TypeError):
        raise ValueError(
            f"{path}: damaged, or not a checkpoint of PyTorch; copy it again"
        ) from None
