"""The weights of one generator as those that another starts from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from textok.config.generator import GeneratorConfig
from textok.generator.token_generator import TokenGenerator

FINAL, ADDED = "final.linear.", "mean_flow."
"""Keys of the layer that makes the outputs, and of what average velocities have beside a flow."""


def initial_state(new: TokenGenerator, source: TokenGenerator) -> dict[str, Tensor]:
    """The weights of ``source`` by the keys of ``new``, if they fit.

    Average velocities may start from a flow: both outputs of ``new`` are then the flow's velocity,
    under all its conditions, whose embedding starts at zero.
    """
    state = source.state_dict()
    if _objective(new) == "meanflow" and _objective(source) == "flow":
        return _from_flow(state, new.state_dict())
    return state


def _objective(generator: TokenGenerator) -> str:
    config = generator.config
    return config.objective.name if isinstance(config, GeneratorConfig) else ""


def _from_flow(flow: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
    doubled = {key: torch.cat([flow[key], flow[key]]) for key in flow if key.startswith(FINAL)}
    added = {key: value for key, value in new.items() if key.startswith(ADDED)}
    return {**flow, **doubled, **added}
