"""Which tensors of a checkpoint are the model: out of wrappers and prefixes, the average first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from textok.config.check import require

AVERAGES = (
    *("ema", "ema_model", "model_ema", "ema_state_dict", "state_dict_ema"),
    *("params_ema", "ema_params", "ema_weights"),
)
"""What training scripts call the average of the weights: a dictionary, a prefix of keys, a
folder."""
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "online_model", "module"),
    *("params", "weights", "net", "network"),
)
"""What they put around the weights themselves."""
COMPILED = "_orig_mod"
"""torch.compile puts it anywhere into a key."""
EXTRAS = ("loss", "loss_module", "loss_fn", "criterion", "discriminator")
"""First parts of keys that belong to the training."""
DEEPEST = 8
"""Dictionaries in dictionaries."""
LISTED = 3


@dataclass(frozen=True, kw_only=True)
class StateDict:
    """The tensors of one model."""

    tensors: dict[str, Tensor]
    """By their official names."""
    average: str | None
    """What the checkpoint calls the average that they are, if they are one."""


def find_state_dict(content: object, starts: Collection[str], *, where: str) -> StateDict:
    """The tensors of the model whose keys begin with one of ``starts``.

    ``content`` is what a file holds: tensors in dictionaries in dictionaries, which prefixes of
    keys stand for too. An average goes before the weights that it is of. What lies beside the
    model is left out. Without a model of such keys these are all tensors. Raises ValueError for
    what holds no tensors, and naming the prefix of keys that fit but for an unknown one.
    """
    found: dict[str, Tensor] = {}
    strange: list[str] = []
    for key, value in _flat(content):
        if isinstance(value, Tensor):
            found[".".join(part for part in key.split(".") if part != COMPILED)] = value
        else:
            strange.append(key)
    named = f" ({', '.join(strange[:LISTED])} is no tensor)" if strange else ""
    require(bool(found), f"{where}: not a state dict{named}")
    prefixes = sorted(_prefixes(found, starts), key=_rank)
    if not prefixes:
        return StateDict(tensors=found, average=None)
    prefix = prefixes[0]
    parts = prefix.split(".")[:-1]
    unknown = [part for part in parts if part not in (*AVERAGES, *WRAPPERS)]
    require(not unknown, f"{where}: its keys begin with '{prefix}': strip that prefix")
    tensors = {
        key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)
    }
    return StateDict(
        tensors={key: _plain(value, key, where) for key, value in tensors.items() if _kept(key)},
        average=next((part for part in parts if part in AVERAGES), None),
    )


def _flat(content: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """What dictionaries in dictionaries hold, by their keys with dots between."""
    if isinstance(content, dict) and depth < DEEPEST:
        for key, value in content.items():
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
    elif prefix:
        yield prefix[:-1], content


def _prefixes(keys: Collection[str], starts: Collection[str]) -> set[str]:
    """What stands before the ``starts``, where their first part begins: "", or ends in a dot."""
    found = set()
    for key in keys:
        for start in starts:
            at = f".{key}".find(f".{start}")
            if at >= 0:
                found.add(key[:at])
    return found


def _rank(prefix: str) -> tuple[bool, bool, int, str]:
    """Known prefixes first, averages first among them, and short ones."""
    parts = prefix.split(".")[:-1]
    known = all(part in (*AVERAGES, *WRAPPERS) for part in parts)
    return not known, not any(part in AVERAGES for part in parts), len(parts), prefix


def _kept(key: str) -> bool:
    return key.partition(".")[0] not in EXTRAS


def _plain(value: Tensor, key: str, where: str) -> Tensor:
    good = value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"
    require(good, f"{where}: {key} is no plain tensor (sparse, quantised or without numbers)")
    return value
