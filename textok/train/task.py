"""A network with all that its training needs, as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from PIL import Image
from torch import nn
from torch.distributed.tensor import DTensor

from textok.config import GanConfig, OptimConfig, RunConfig
from textok.losses.frechet import FrechetLoss
from textok.nn.codebook import Codebook
from textok.runtime.blocks import compile_network
from textok.runtime.checkpoint import Stateful
from textok.runtime.device import trained_in
from textok.runtime.sharding import load_weights, shard
from textok.train.discriminator import Discriminator
from textok.train.distributed import Distributed
from textok.train.ema import Ema
from textok.train.guard import Guard
from textok.train.lora import merged
from textok.train.objective import TrainingObjective
from textok.train.optim import Optimizer
from textok.train.projection import Projection
from textok.train.published_state import StartedFrom
from textok.train.step import TrainingStep

Network = TypeVar("Network", bound=nn.Module)
Validated = TypeVar("Validated", contravariant=True)


class Validator(Protocol[Validated]):
    """Shows and measures a network; all processes call it at the same time."""

    def sheet(self, network: Validated) -> Image.Image:
        """Images by the network, the same ones every time."""

    def measure(self, network: Validated) -> dict[str, float]:
        """Scalars by name, in the main process at least."""


class TrainingTask(Generic[Network]):
    """A network, its objective and its validator; with a ``discriminator`` also a GAN.

    The ``projection`` that the objective aligns hidden states by is trained with the network. The
    populations of the ``frechet`` loss are kept with it.
    ``name`` is that of the network's weights in a checkpoint, ``save`` writes the averaged network
    into a folder. With ``run.shard`` each of several processes has a part of the network.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        *,
        objective: TrainingObjective[Any],
        validator: Validator[Network],
        save: Callable[[Network, Path], object],
        optim: OptimConfig,
        run: RunConfig,
        distributed: Distributed,
        gan: GanConfig | None = None,
        discriminator: nn.Module | None = None,
        projection: Projection | None = None,
        frechet: FrechetLoss | None = None,
    ) -> None:
        self.name, self.validator, self._save = name, validator, save
        self.distributed = distributed
        self.network = network.to(distributed.device)
        self.ema = Ema(self.network, run.ema)
        if run.shard and distributed.world_size > 1:
            self.ema.shard(distributed.device)
            shard(self.network, distributed.device)
        optimizer = Optimizer(self.network, optim, lr=optim.lr, first=0, steps=run.steps)
        self.projection, self.frechet = projection, frechet
        self.discriminator = None
        if discriminator is not None:
            assert gan is not None
            self.discriminator = Discriminator(
                discriminator, gan, optim, steps=run.steps, distributed=distributed
            )
        if run.compile:
            compile_network(self.network)
            if self.discriminator is not None:
                self.discriminator.compile()
        self.step = TrainingStep(
            objective=objective,
            network=self.network,
            parallel=distributed.parallel(self.network),
            optimizer=optimizer,
            ema=self.ema,
            guard=Guard(distributed, limit=run.max_bad_steps),
            discriminator=self.discriminator,
            projection=projection,
            frechet=frechet,
            distributed=distributed,
            precision=trained_in(distributed.device, run.precision),
            batch_size=run.batch_size,
            decides_late=self._may_decide_late(),
        )

    @property
    def averaged(self) -> Network:
        """The network with averaged weights, in one piece; called by all processes."""
        self.step.guard.settle()
        return self.ema.whole()

    def sheet(self) -> Image.Image:
        return self.validator.sheet(self.averaged)

    def measure(self) -> dict[str, float]:
        return self.validator.measure(self.averaged)

    def save(self, folder: Path) -> None:
        """Write the averaged network, adapters merged, in the main process."""
        averaged = merged(self.averaged)
        if self.distributed.is_main:
            self._save(averaged, folder)

    def state_dict(self) -> dict[str, Any]:
        """Weights, averages, optimisers, regularisers and counters."""
        self.step.guard.settle()
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {self.name: self.network.state_dict(), **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_weights(self.network, state[self.name])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def training_state(self) -> dict[str, Any]:
        """What another training of this network goes on from, beside the averaged weights.

        The populations of a Frechet loss are not in it: they are made of this training's images.
        """
        state = self.state_dict()
        kept = {name: value for name, value in state.items() if name not in ("guard", "frechet")}
        return {**kept, "ema": {"updates": self.ema.updates}}

    def start_from(self, state: dict[str, Any]) -> StartedFrom:
        """Take over from the ``training_state`` of another training all that fits.

        The averages stay those of the network as it was given, which is to have been published
        with ``state``.
        """
        found = StartedFrom()
        if found.take("weights", self.network, state.get(self.name)):
            self.ema.updates = int(state["ema"]["updates"])
            found.take_moments("optimiser", self.step.optimizer, state.get("optimizer"))
        if self.projection is not None:
            found.take_trained("projection", self.projection, state)
        against = self.discriminator
        if against is not None and found.take_trained("discriminator", against, state):
            for name, part in against.remembered().items():
                found.take(name, part, state.get(name))
        return found

    def _may_decide_late(self) -> bool:
        """Whether nothing but the optimisers depends on a step's verdict before the next one.

        Populations and codebooks do, and sharded weights cannot be left as they are by a tensor.
        """
        codebooks = any(isinstance(part, Codebook) for part in self.network.modules())
        sharded = any(isinstance(weight, DTensor) for weight in self.network.parameters())
        gpu = self.distributed.device.type == "cuda"
        return gpu and self.frechet is None and not codebooks and not sharded

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {
            "ema": self.ema,
            "optimizer": self.step.optimizer,
            "guard": self.step.guard,
        }
        if self.frechet is not None:
            parts["frechet"] = self.frechet
        trained_beside = [self.projection, self.discriminator]
        for one in trained_beside:
            parts |= {} if one is None else one.parts()
        return parts
