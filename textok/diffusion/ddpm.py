"""Noise prediction over 1,000 steps, as DiT is trained (Ho et al. 2020, arXiv 2006.11239).

The variance is learned as in Improved DDPM (Nichol & Dhariwal 2021, arXiv 2102.09672).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor

from textok.config.generator import ObjectiveConfig
from textok.diffusion.broadcast import over_tokens

STEPS = 1000
"""Step n = 0 ... 999 is time t = (n + 1) / 1000, declared here once; t = 0 is the data itself."""


class DDPM:
    """The network gives the noise in x_t and, with ``learn_sigma``, how much a step adds again."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.config = config
        beta = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
        alpha2 = (1 - beta).cumprod(0)
        self._log_alpha = F.pad(alpha2.log() / 2, (1, 0))
        # The posterior's variance; nothing is left of it at the first step, which takes that of the
        # second (arXiv 2102.09672, section 3.1).
        small = beta[1:] * (1 - alpha2[:-1]) / (1 - alpha2[1:])
        small = torch.cat([small[:1], small])
        self._log_range = (beta / small).log()
        self._error_weight = beta**2 / (small * (1 - beta) * (1 - alpha2))

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha^2 is the product of 1 - beta; between two steps its logarithm is a line in t."""
        log_alpha, position = self._log_alpha.to(t, non_blocking=True), t * STEPS
        below = position.long().clamp(max=STEPS - 1)
        log = torch.lerp(log_alpha.take(below), log_alpha.take(below + 1), position - below)
        return log.exp(), torch.expm1(2 * log).abs().sqrt()

    def sample_timesteps(self, noise_B: Tensor) -> Tensor:
        """Each of the 1,000 steps as likely as any other."""
        n = (torch.special.ndtr(noise_B) * STEPS).floor().clamp(max=STEPS - 1)
        return (n + 1) / STEPS

    def times(self, steps: int, *, shift: float | None = None) -> Tensor:
        """Evenly spaced steps from 999 to 0 (arXiv 2102.09672, section 4), then t = 0."""
        assert shift is None, "times of ddpm are its steps"
        n = torch.linspace(STEPS - 1, 0, steps, dtype=torch.float64).round()
        return F.pad((n + 1) / STEPS, (0, 1))

    def add_noise(self, x0_BKC: Tensor, noise_BKC: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = map(over_tokens, self.alpha_sigma(t))
        return alpha * x0_BKC + sigma * noise_BKC

    def x0(self, output_BKX: Tensor, x_BKC: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = map(over_tokens, self.alpha_sigma(t))
        return (x_BKC - sigma * output_BKX[..., : x_BKC.shape[-1]]) / alpha

    def logvar_weight(self, output_BKX: Tensor) -> Tensor:
        """From the network's output in [-1, 1] (arXiv 2102.09672, eq. 15)."""
        if not self.config.learn_sigma:
            return output_BKX.new_zeros(())
        return (output_BKX.chunk(2, dim=-1)[1] + 1) / 2

    def loss(self, output_BKX: Tensor, x0_BKC: Tensor, noise_BKC: Tensor, t_B: Tensor) -> Tensor:
        """L_simple + 0.001 L_vlb (arXiv 2102.09672, eq. 16).

        L_vlb is a sum of 1,000 terms, of which one is drawn: 0.001 of the sum is that one in full.
        """
        output_BKX, noise_BKC = output_BKX.float(), noise_BKC.float()
        error_BKC = output_BKX[..., : noise_BKC.shape[-1]] - noise_BKC
        loss_BKC = error_BKC.square()
        if self.config.learn_sigma:
            loss_BKC = loss_BKC + self._bound(
                error_BKC.detach(), self.logvar_weight(output_BKX), t_B
            )
        return reduce(loss_BKC, "B K C -> B", "mean")

    def _bound(self, error_BKC: Tensor, weight_BKC: Tensor, t_B: Tensor) -> Tensor:
        """KL divergence, in bits, of the model's step from the posterior q(x_{t-1} | x_t, x_0).

        The means are an error of the noise apart (arXiv 2006.11239, eq. 12), the variances are
        ``weight`` of the way. For pixels the last step is a likelihood over 8-bit values; for
        latents it is the same divergence, as if they were known up to a deviation of 0.007.
        """
        n = (t_B * STEPS).round().long() - 1
        log_range, error_weight = (
            over_tokens(table.to(error_BKC, non_blocking=True)[n])
            for table in (self._log_range, self._error_weight)
        )
        log_ratio = weight_BKC * log_range
        apart = 1 + error_weight * error_BKC.square()
        return (log_ratio + apart * torch.exp(-log_ratio) - 1) / (2 * math.log(2))
