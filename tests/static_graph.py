"""Whether work could be recorded on a GPU, without one.

A graph is traced on the CPU: its replay is the same operators with other numbers. And on the device
``meta``, which has no numbers, the host cannot look at any.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from textok.runtime.recorder import Call, Given, Recording, as_recorded

LOOKS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "item")
"""Operators that wait for numbers of the device, or whose result's shape depends on them."""

SCALARS = ("mul", "add", "sub", "div")
"""Operators that take a single number of the host without copying it to the device."""


class Watch(TorchDispatchMode):
    """Refuses what cannot be recorded on a GPU, whose part the device ``meta`` plays."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition("::")[2].partition(".")[0]
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        there = any(one.is_meta for one in given)
        masks = any(one.dtype == torch.bool for one in given[1:])
        if there and (name in LOOKS or (name in ("index", "index_put", "index_put_") and masks)):
            raise RuntimeError(f"{name} looks at numbers")
        # Single numbers of the host are part of the launch of some kernels; all others are copied.
        most = 0 if name in SCALARS else -1
        if there and any(not one.is_meta and one.ndim > most for one in given):
            raise RuntimeError(f"{name} mixes tensors of host and device")
        out = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_") and len({one.device for one in [*given, out]}) > 1:
            raise RuntimeError(f"{name} goes from one device to another")
        self.count += there
        return out


def traced(call: Call, given: Given) -> Recording:
    """A recording on the CPU: a trace by other numbers, with tensors of its own."""
    own = [None if one is None else one.clone() for one in given]
    held = [one for one in own if one is not None]
    places = [index for index, one in enumerate(own) if one is not None]

    def plain(*tensors: Tensor) -> Tensor:
        every: list[Tensor | None] = [None] * len(own)
        for place, one in zip(places, tensors, strict=True):
            every[place] = one
        return call(*every)

    # Not in inference mode, whose operators cannot be traced; other numbers, of the same kinds.
    with torch.inference_mode(False), torch.no_grad(), as_recorded():
        other = [torch.zeros_like(one) if one.is_floating_point() else one.clone() for one in held]
        graph = make_fx(plain)(*other)
        output = torch.empty(graph(*other).shape)
    changing = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert len(changing) > 10

    def replay() -> None:
        with torch.inference_mode(False), torch.no_grad():
            output.copy_(graph(*[one.clone() for one in held]))

    return Recording(given=own, output=output, replay=replay)


def watched(call: Call, given: Given) -> Recording:
    """Makes the call once and looks out for what a GPU would have to wait for."""
    watch = Watch()
    with as_recorded(), watch:
        output = call(*given)
    assert watch.count > 10
    return Recording(given=list(given), output=output, replay=lambda: None)
