"""What a training publishes beside its model, for another to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from textok.config.check import require
from textok.runtime.checkpoint import State, list_checkpoints, load_checkpoint
from textok.runtime.pretrained import find_folder
from textok.runtime.sharding import load_weights
from textok.runtime.untrusted import check_finite
from textok.train.optim import Optimizer

TRAINING = "training"
"""Folder, in that of a published model, with one checkpoint."""


class Trained(Protocol):
    """A module that is trained beside the network, by an optimiser of its own."""

    @property
    def module(self) -> nn.Module: ...

    @property
    def optimizer(self) -> Optimizer: ...


@dataclass(kw_only=True)
class StartedFrom:
    """What was taken over from another training, and what is new."""

    taken: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def take(self, what: str, module: nn.Module, saved: Any) -> bool:
        """Load ``saved`` if it is a state of such a module; whether it was.

        Raises ValueError for numbers that are not finite.
        """
        own = module.state_dict()
        fits = isinstance(saved, Mapping) and own.keys() == saved.keys()
        if fits and all(_alike(saved[key], value) for key, value in own.items()):
            check_finite(saved, where=f"{TRAINING} ({what})")
            load_weights(module, saved)
            self.taken.append(what)
            return True
        self.new.append(what)
        return False

    def take_moments(self, what: str, optimizer: Optimizer, saved: Any) -> None:
        """Go on with the moments ``saved`` by an optimiser of the same weights."""
        fits = optimizer.load_moments(saved)
        (self.taken if fits else self.new).append(what)

    def take_trained(self, name: str, trained: Trained, state: State) -> bool:
        """Both states of ``name`` as a checkpoint has them; whether the weights were taken."""
        found = self.take(name, trained.module, state.get(name))
        if found:
            saved = state.get(f"{name}_optimizer")
            self.take_moments(f"{name}'s optimiser", trained.optimizer, saved)
        return found

    def __str__(self) -> str:
        taken = f"goes on with {', '.join(self.taken)}" if self.taken else "nothing in it fits"
        return taken + (f"; new: {', '.join(self.new)}" if self.new else "")


def read_published_state(init: str) -> State:
    """The training state in the folder or hub repository of a published model.

    Raises ValueError where there is none, and DamagedCheckpoint where it is incomplete.
    """
    folder = find_folder(init, beside=TRAINING) / TRAINING
    found = list_checkpoints(folder)
    require(
        bool(found),
        f"init_training_state is on but {init} has no {TRAINING}/ folder: set it to false, or "
        "publish the state of that training with run.publish_training_state",
    )
    state: Any = load_checkpoint(found[-1])
    wrong = f"{found[-1]}: not the state of a training; set init_training_state to false"
    ema = state.get("ema") if isinstance(state, dict) else None
    require(isinstance(ema, dict) and isinstance(ema.get("updates"), int), wrong)
    return dict(state)


def _alike(saved: Any, own: Tensor) -> bool:
    return isinstance(saved, Tensor) and saved.shape == own.shape and saved.dtype == own.dtype
