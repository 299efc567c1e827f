"""The discriminator's side of a training step."""

from __future__ import annotations

from accelerate import Accelerator
from torch import Tensor, nn
from torch.func import functional_call

from textok.config import GanConfig, OptimConfig
from textok.losses.adversarial import LeCAM
from textok.train.optim import Optimizer


class Adversary:
    """A discriminator with its regulariser and an optimiser scheduled from ``gan.start`` on."""

    def __init__(
        self,
        gan: GanConfig,
        optim: OptimConfig,
        *,
        steps: int,
        discriminator: nn.Module,
        accelerator: Accelerator,
    ) -> None:
        self.module = discriminator.to(accelerator.device)
        self.parallel = accelerator.prepare_model(self.module)
        self.lecam = LeCAM().to(accelerator.device)
        self.optimizer = Optimizer(self.module, optim, lr=gan.lr, first=gan.start, steps=steps)

    def judge_as_constant(self, images: Tensor) -> Tensor:
        """Logits whose gradient goes to ``images`` but not to the discriminator."""
        constants = {name: p.detach() for name, p in self.module.named_parameters()}
        logits: Tensor = functional_call(self.module, constants, (images,))
        return logits
