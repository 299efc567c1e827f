"""Checksums of tensors: that what is read is what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from textok.config.check import require

SHA256 = "sha256"
"""Entry of a file's metadata."""


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, whatever the order, in hexadecimal.

    Tensors that are mapped into memory are read once; about 1 GB a second on a recent CPU.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def sum_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Metadata of a safetensors file of ``tensors`` with their checksum."""
    return {"format": "pt", SHA256: tensors_sha256(tensors)}


def load_with_sum(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises ValueError where it has a checksum and that is another one.
    """
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        expected = (file.metadata() or {}).get(SHA256, "")
    require(
        expected in ("", tensors_sha256(state) if expected else ""),
        f"{path}: damaged, the checksum differs: copy it again",
    )
    return state


def order_metadata(path: Path) -> None:
    """Sort the entries of the metadata, which safetensors writes in any order.

    So equal tensors give equal files.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # the same characters in another order; spaces fill up
            file.seek(8)
            file.write(text.ljust(size))
