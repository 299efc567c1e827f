"""Official weights on their way into our models: each is taken once, and none is left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from textok.convert.source import Checkpoint

LISTED = 3
"""Keys that a message names."""


class Official:
    """The tensors of a checkpoint by their official names, and what its config.json says."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.where = checkpoint.where
        self._settings = checkpoint.settings
        self._shapes = {key: tuple(value.shape) for key, value in checkpoint.tensors.items()}
        self._left = dict(checkpoint.tensors)
        self._problems: list[str] = []

    def has(self, start: str) -> bool:
        """Whether there is any key that starts so."""
        return any(key.startswith(start) for key in self._shapes)

    def first_keys(self) -> str:
        return ", ".join(list(self._shapes)[:LISTED])

    def shape(self, key: str, axes: int) -> tuple[int, ...]:
        """Raises ValueError for a tensor that is missing or has other than ``axes`` axes."""
        found = self._shapes.get(key)
        if found is None:
            raise ValueError(f"{self.where}: does not fit: missing {key}")
        if len(found) != axes:
            raise ValueError(f"{self.where}: does not fit: {key} is {found}, not of {axes} axes")
        return found

    def count(self, start: str) -> int:
        """Number of the blocks called ``start``0, ``start``1 and so on."""
        numbers = [re.match(rf"{re.escape(start)}(\d+)\.", key) for key in self._shapes]
        return max((int(found[1]) + 1 for found in numbers if found), default=0)

    def setting(self, path: str, kind: type[bool] | type[int]) -> Any:
        """What config.json says at ``path``, as in "model.vq_model.use_l2_norm"; None if nothing.

        Raises ValueError where that is not of ``kind``.
        """
        value: Any = self._settings
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and type(value) is not kind:
            raise ValueError(f"{self.where}: config.json: {path} is {value!r}, not {kind.__name__}")
        return value

    def take(self, key: str, *shape: int) -> Tensor:
        """The tensor of that shape; zeros where it does not fit, which ``check`` then tells."""
        found = self._left.pop(key, None)
        if found is not None and found.shape == shape:
            return found.float() if found.is_floating_point() else found
        problem = f"missing {key}" if found is None else f"{key} is {tuple(found.shape)}"
        self._problems.append(problem + ("" if found is None else f" and should be {shape}"))
        return torch.zeros(shape)

    def layer(self, theirs: str, ours: str, *shape: int) -> dict[str, Tensor]:
        """Weight and bias of a linear layer, a convolution or (one axis) a norm, renamed."""
        weight = self.take(f"{theirs}.weight", *shape)
        return {f"{ours}.weight": weight, f"{ours}.bias": self.take(f"{theirs}.bias", shape[0])}

    def pointwise(self, theirs: str, ours: str, out: int, inputs: int) -> dict[str, Tensor]:
        """A 1 x 1 convolution as a linear layer."""
        state = self.layer(theirs, ours, out, inputs, 1, 1)
        return {**state, f"{ours}.weight": state[f"{ours}.weight"].flatten(1)}

    def ignore(self, key: str) -> None:
        """Leave out a tensor that is constant, if it is there."""
        self._left.pop(key, None)

    def check(self) -> None:
        """Raise ValueError, one line, unless every key was taken and had its shape."""
        problems = [*self._problems, *(f"unknown {key}" for key in self._left)]
        if problems:
            more = len(problems) - LISTED
            raise ValueError(
                f"{self.where}: {len(problems)} keys do not fit: {'; '.join(problems[:LISTED])}"
                + (f" and {more} more" if more > 0 else "")
            )


def inside(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a module as part of a larger one's."""
    return {f"{prefix}.{key}": value for key, value in state.items()}
