"""Modules whose weights are sharded over the processes (FSDP2) instead of copied to each."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from textok.runtime.blocks import repeated_parts

Module = TypeVar("Module", bound=nn.Module)


def shard(module: nn.Module, device: torch.device) -> None:
    """Leave each process its part of the weights; a block is whole while it computes, no longer.

    The gradients of the processes are averaged into the same parts. Any optimiser of the weights
    has to be made after this.
    """
    # It warns of in-place changes to the output, which textok never makes.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = _mesh(device)
    for block in [*repeated_parts(module), module]:
        fully_shard(block, mesh=mesh)


def shard_parameters(module: nn.Module, device: torch.device) -> None:
    """Leave each process the same parts of a module that follows a ``shard``-ed one and never runs.

    It can be copied, which a ``shard``-ed one cannot.
    """
    mesh = _mesh(device)
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            own = distribute_tensor(value.detach(), mesh, [Shard(0)], src_data_rank=None)
            part.register_parameter(name, nn.Parameter(own, requires_grad=value.requires_grad))


def whole_module(module: Module) -> Module:
    """A module of ``shard_parameters`` in one piece, new on every process; all ask for it together.

    A module that is in one piece is returned itself.
    """
    parameters = list(module.parameters())
    if not any(isinstance(value, DTensor) for value in parameters):
        return module
    whole = {id(p): nn.Parameter(whole_tensor(p), requires_grad=False) for p in parameters}
    # Where the copy would copy a parameter, it finds this one.
    return copy.deepcopy(module, whole)


def whole_tensor(value: Tensor) -> Tensor:
    """``value`` in one piece, on every process; all ask for it together."""
    return value.full_tensor().detach() if isinstance(value, DTensor) else value


def whole_state(state: Any, *, keep: bool) -> Any:
    """Nested ``state`` with each tensor in one piece, on the CPU if it was sharded.

    All processes ask for it together. What one does not ``keep`` is None.
    """
    if isinstance(state, Mapping):
        return {key: whole_state(value, keep=keep) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [whole_state(value, keep=keep) for value in state]
    if isinstance(state, DTensor):
        whole = whole_tensor(state)
        return whole.cpu() if keep else None
    return state


def own_part(value: Any, like: Tensor | None) -> Any:
    """This process's part of a tensor that is in one piece, cut as ``like`` of the same shape is.

    Anything else stays as it is. No process asks another: each has the whole.
    """
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        value = value.to(like.device)
        return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
    return value


def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """``load_state_dict`` of weights in one piece into a module that may be sharded."""
    own = module.state_dict()
    module.load_state_dict({key: own_part(value, own.get(key)) for key, value in state.items()})


def local(value: Tensor) -> Tensor:
    """What this process has of ``value``: the same memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def _mesh(device: torch.device) -> DeviceMesh:
    return init_device_mesh(device.type, (dist.get_world_size(),))
