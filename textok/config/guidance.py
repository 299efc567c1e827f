"""How far a sampled image is led towards its condition, and away from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textok.config.check import require, require_choice, require_range
from textok.config.objective import EARLIEST_HIGH, LATEST_LOW, MOST_GUIDANCE

Form = Literal["total", "added"]
Schedule = Literal["constant", "linear", "power_cosine"]


@dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """Classifier-free guidance: unconditional + scale x (conditional - unconditional).

    With a ``guide`` autoguidance: the guide's + scale x (the generator's - the guide's).
    """

    scale: float = 3.0
    """1 follows the condition alone and costs half."""
    form: Form = "total"
    """``added``: conditional + scale x (conditional - unconditional), as MUSE and TiTok publish
    constant and linear scales; 0 then follows the condition alone."""
    schedule: Schedule = "constant"
    """How the scale rises from none, at pure noise, to ``scale``, at the data."""
    power: float = 2.0
    """Exponent of ``power_cosine``."""
    low: float = 0.0
    """Guide only at times t in [low, high]; 0 is the data, 1 the noise."""
    high: float = 1.0
    """The upper end of that interval."""
    guide: str = ""
    """Pipeline folder or hub name of a weaker DiT on the same latents, trained shorter or smaller,
    whose output for the same condition is led away from (autoguidance, arXiv 2406.02507) instead of
    that without a condition."""

    def __post_init__(self) -> None:
        require_choice("guidance.form", self.form, Form)
        require_choice("guidance.schedule", self.schedule, Schedule)
        require_range("guidance.scale", self.scale, 0, MOST_GUIDANCE)
        require_range("guidance.power", self.power, 0, open_low=True)
        require(
            0 <= self.low <= self.high <= 1,
            f"guidance.low {self.low} and guidance.high {self.high}: 0 <= low <= high <= 1",
        )

    @property
    def total(self) -> float:
        """The scale where 1 is no guidance, whatever the form."""
        return self.scale + 1 if self.form == "added" else self.scale

    def check_learnt(self, most: float) -> None:
        """Raise ValueError for guidance that is not among the conditions of ``meanflow``."""
        by = "a generator trained by 'meanflow'"
        require(
            1 <= self.total <= most,
            f"guidance.scale is {self.scale:g}: {by} has learnt 1 (none) to {most:g}"
            + (" in all, of which 1 is added" if self.form == "added" else ""),
        )
        require(
            self.schedule == "constant",
            f"guidance.schedule is '{self.schedule}': {by} has learnt a constant scale, leave it "
            "out",
        )
        require(
            self.low <= LATEST_LOW and self.high >= EARLIEST_HIGH,
            f"guidance.low {self.low:g} and guidance.high {self.high:g}: {by} has learnt low from "
            f"0 to {LATEST_LOW:g} and high from {EARLIEST_HIGH:g} to 1",
        )
        require(
            not self.guide,
            f"guidance.guide is '{self.guide}': {by} has learnt guidance away from no condition "
            "alone, leave it out",
        )
