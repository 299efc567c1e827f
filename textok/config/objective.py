"""What a generator over latent tokens is trained to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textok.config.check import require_range

LATEST_LOW, EARLIEST_HIGH = 0.5, 0.5
"""Of the intervals of guidance that ``meanflow`` is trained on: [0 to 0.5, 0.5 to 1]."""
MOST_TIME = 10
"""Of mean and spread of logit-normal times: beyond it all times are 0 or 1, or nearly."""
MOST_GUIDANCE = 1_000
"""A scale beyond it leaves nothing of an image, and at last no finite number."""
LEAST_SHIFT, MOST_SHIFT = 1e-3, 1e3
"""Of times: beyond them all steps but one lie at an end, and their numbers at that of floats."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What the network is trained to predict. Time is 0 at the data and 1 at the noise."""

    name: Literal["flow", "ddpm", "meanflow"] = "flow"
    """``flow``: velocity of the straight path; ``ddpm``: noise over 1,000 linear steps, as DiT;
    ``meanflow``: average velocity between two times, for one to four steps (arXiv 2512.02012)."""
    time_mean: float | None = None
    """Mean of the logit-normal times of ``flow`` and ``meanflow``; negative looks more at the data.
    None: 0 for ``flow``, -0.4 for ``meanflow``."""
    time_std: float = 1.0
    """Spread of the logit-normal times; 0 draws them uniformly."""
    time_shift: float = 1.0
    """s in t' = s t / (1 + (s - 1) t), in training and sampling of ``flow`` and ``meanflow``; above
    1: noisier."""
    learn_sigma: bool = True
    """``ddpm``: also predict the variance (Nichol & Dhariwal 2021)."""
    equal_times: float = 0.5
    """``meanflow``: share of the rows with r = t, which learn the velocity itself."""
    max_guidance: float = 8.0
    """``meanflow``: largest guidance scale in training, hence in sampling; 1 trains without."""
    error_power: float = 1.0
    """``meanflow``: power of its own squared error that a row's loss is divided by. 1 as published:
    all rows weigh the same; 0: the plain squared error, for latents of a few numbers, whose errors
    vary by chance, so that weights by them lead away from the mean."""

    def __post_init__(self) -> None:
        if self.time_mean is None:
            mean = -0.4 if self.name == "meanflow" else 0.0
            object.__setattr__(self, "time_mean", mean)
        require_range("generator.objective.time_mean", self.time_mean or 0, -MOST_TIME, MOST_TIME)
        require_range("generator.objective.time_std", self.time_std, 0, MOST_TIME)
        shift = self.time_shift
        require_range("generator.objective.time_shift", shift, LEAST_SHIFT, MOST_SHIFT)
        require_range("generator.objective.equal_times", self.equal_times, 0, 1)
        require_range("generator.objective.max_guidance", self.max_guidance, 1, MOST_GUIDANCE)
        require_range("generator.objective.error_power", self.error_power, 0, 1)

    @property
    def outputs(self) -> int:
        """Numbers the network gives for each number of a token."""
        second = {"flow": False, "ddpm": self.learn_sigma, "meanflow": True}
        return 2 if second[self.name] else 1

    @property
    def cited(self) -> str:
        """The name as a model card has it."""
        return f"{self.name} (arXiv 2512.02012)" if self.name == "meanflow" else self.name
