"""A projection that is trained with a network and not published with it."""

from __future__ import annotations

from torch import Tensor, nn

from textok.config import OptimConfig
from textok.runtime.checkpoint import Stateful
from textok.train.distributed import Distributed
from textok.train.optim import Optimizer


class Projection:
    """Hidden states to the width of features, in float32, with an optimiser of its own.

    A module of its own, as a discriminator is: the network's weights, their averages and the model
    that is published know nothing of it. It learns at the rates of the network's AdamW.
    """

    def __init__(
        self, module: nn.Module, optim: OptimConfig, *, steps: int, distributed: Distributed
    ) -> None:
        self.module = module.to(distributed.device)
        self.parallel = distributed.parallel(self.module)
        self.optimizer = Optimizer(self.module, optim, lr=optim.lr, first=0, steps=steps)

    def __call__(self, states: Tensor) -> Tensor:
        """(..., D) to (..., F); once a backward pass, as gradients are averaged (DDP)."""
        projected: Tensor = self.parallel(states.float())
        return projected

    def parts(self) -> dict[str, Stateful]:
        """What goes into a checkpoint."""
        return {"projection": self.module, "projection_optimizer": self.optimizer}
