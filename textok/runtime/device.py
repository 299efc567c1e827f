"""Where a model runs and in which numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from textok.config.check import require, require_choice
from textok.config.networks import RunPrecision

Precision = Literal["fp32", "bf16"]
WITHOUT_BF16 = ("DEFAULT", "NO AVX", "AVX2")
"""Best instructions of a CPU, as torch names them, whose products of bf16 matrices are slow."""


def pick_device(name: str) -> str:
    """The device called ``name``; ``auto`` is a GPU where there is one.

    Raises ValueError for one that torch does not know or have.
    """
    if name == "auto":
        return str(best_device())
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name}: not to be had here ({reason})") from None
    return name


def check_dtype(dtype: object) -> None:
    """Raise ValueError for what is no floating-point type of torch."""
    known = isinstance(dtype, torch.dtype) and dtype.is_floating_point
    require(known, f"dtype is {dtype!r}: give one of torch, as torch.bfloat16")


def best_device() -> torch.device:
    """The first GPU there is, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast(device: torch.device | str, precision: Precision) -> AbstractContextManager[object]:
    """bf16 matrix products inside the context, weights stay as they are; fp32 changes nothing."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def has_bf16(device: torch.device | str) -> bool:
    """Whether bf16 is worth running in on ``device``.

    On CPUs with AVX2 or less torch multiplies bf16 matrices number by number, some fifty times as
    slowly as float32.
    """
    if torch.device(device).type != "cpu":
        return True
    return torch.backends.cpu.get_cpu_capability() not in WITHOUT_BF16


def trained_in(device: torch.device | str, precision: Precision) -> Precision:
    """What a training in ``precision`` runs in on ``device``: fp32 where bf16 is not worth it."""
    return precision if has_bf16(device) else "fp32"


def run_in(device: torch.device | str, precision: RunPrecision) -> AbstractContextManager[object]:
    """What a trained model runs in on ``device``: :func:`autocast`, or TF32; fp32 changes nothing.

    Raises what :func:`check_precision` does.
    """
    check_precision(device, precision)
    if precision == "tf32":
        return cuda_products(device, tf32=True)
    return autocast(device, precision)


def check_precision(device: torch.device | str, precision: RunPrecision) -> None:
    """Raise ValueError for what is no precision, and for TF32 on a device that has none."""
    require_choice("precision", precision, RunPrecision)
    kind = torch.device(device).type
    require(
        precision != "tf32" or kind == "cuda",
        f"precision is tf32, which is for CUDA devices, not {kind}: choose fp32 or bf16",
    )


@contextmanager
def cuda_products(device: torch.device | str, *, tf32: bool) -> Iterator[None]:
    """float32 products and convolutions of CUDA by TF32 or not, afterwards as before.

    Torch's default is TF32 for convolutions alone. On other devices nothing changes.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = tf32
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before
