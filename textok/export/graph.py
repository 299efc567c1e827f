"""One network with named inputs and outputs, as it becomes one ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["pixels", "normal", "time", "scale", "mask", "integer"]
DTYPES: dict[Kind, str] = {
    "pixels": "float32",
    "normal": "float32",
    "time": "float32",
    "scale": "float32",
    "mask": "bool",
    "integer": "int64",
}


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output: its axes, what it holds, and how an example of it is drawn."""

    shape: tuple[int | str, ...]
    """A number, or the name of an axis that may have any length."""
    kind: Kind
    about: str
    low: int = 0
    high: int = 0
    """Integers are in [low, high)."""

    def example(self, lengths: Mapping[str, int], generator: torch.Generator) -> Tensor:
        """Values of that kind, the named axes as long as ``lengths`` says."""
        shape = [lengths[axis] if isinstance(axis, str) else axis for axis in self.shape]
        match self.kind:
            case "pixels":
                return torch.rand(shape, generator=generator) * 2 - 1
            case "normal":
                return torch.randn(shape, generator=generator)
            case "time":
                return torch.rand(shape, generator=generator)
            case "scale":  # of guidance
                return 1 + 4 * torch.rand(shape, generator=generator)
            case "mask":  # the first row whole, each further one shorter
                real = (shape[1] - torch.arange(shape[0])).clamp(min=self.low)
                return torch.arange(shape[1]) < real[:, None]
            case "integer":
                return torch.randint(self.low, self.high, shape, generator=generator)

    @property
    def axes(self) -> dict[int, Any]:
        """The axes that have a name, as ``torch.export`` takes them."""
        named = enumerate(self.shape)
        return {place: torch.export.Dim.DYNAMIC for place, axis in named if isinstance(axis, str)}

    @property
    def described(self) -> dict[str, Any]:
        """For the manifest."""
        return {"shape": list(self.shape), "dtype": DTYPES[self.kind], "about": self.about}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A module whose ``forward`` takes ``inputs`` in order and gives ``outputs`` in order."""

    name: str
    """Of the file, without ``.onnx``."""
    module: nn.Module
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    lengths: dict[str, int]
    """Of each named axis in the example that is traced; above 1, below the largest."""

    def example(self, *, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Inputs of ``batch`` rows."""
        generator = torch.Generator().manual_seed(seed)
        lengths = {**self.lengths, "batch": batch}
        return {name: port.example(lengths, generator) for name, port in self.inputs.items()}


def open_axis(name: str, most: int) -> int | str:
    """An axis of any length up to ``most``; of that length where it is too short to be named.

    torch takes lengths of 0 and 1, and the only one that is left, for constants.
    """
    return name if most > 2 else most
