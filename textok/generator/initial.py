"""The weights of one generator as those that another starts from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from textok.config.check import require
from textok.config.generator import GeneratorConfig
from textok.generator.token_generator import TokenGenerator

FINAL, ADDED = "final.linear.", "mean_flow."
"""Keys of the layer that makes the outputs, and of what average velocities have beside a flow."""


def initial_state(new: TokenGenerator, source: TokenGenerator, *, where: str) -> dict[str, Tensor]:
    """The weights of ``source`` by the keys of ``new``, if they fit.

    Average velocities may start from a flow: both outputs of ``new`` are then the flow's velocity,
    under all its conditions, whose embedding starts at zero. Raises ValueError, naming ``where``
    the source lies, for one that was trained by another objective, embeds time by other frequencies
    or has other heads.
    """
    state, theirs, ours = source.state_dict(), source.config, new.config
    heads = (theirs.heads, ours.heads)
    require(
        heads[0] == heads[1],
        f"{where}: its network has {heads[0]} heads, generator.network.heads is {heads[1]}: set it "
        f"to {heads[0]}",
    )
    if not (isinstance(theirs, GeneratorConfig) and isinstance(ours, GeneratorConfig)):
        return state
    by, asked = theirs.objective.name, ours.objective.name
    merged = ", or merge the preset of that name" if by == "meanflow" else ""
    require(
        by == asked or (by, asked) == ("flow", "meanflow"),
        f"{where}: it was trained by {by}, generator.objective.name is {asked}, whose outputs mean "
        f"something else: set it to {by}{merged}",
    )
    require(
        theirs.time_frequency == ours.time_frequency,
        f"{where}: its time_frequency is {theirs.time_frequency:g}, generator.time_frequency is "
        f"{ours.time_frequency:g}: set it to {theirs.time_frequency:g}",
    )
    if by != asked:
        return _from_flow(state, new.state_dict())
    return state


def _from_flow(flow: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
    doubled = {key: torch.cat([flow[key], flow[key]]) for key in flow if key.startswith(FINAL)}
    added = {key: value for key, value in new.items() if key.startswith(ADDED)}
    return {**flow, **doubled, **added}
