"""How much is trained and measured to compare flow and MeanFlow, and on what kind of machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from studies.pairs.study import Speed
from studies.photographs import budgets as photographs


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained, and how much is measured."""

    training_steps: int
    """Of flow, and of MeanFlow from scratch; MeanFlow from flow takes half as many more."""
    batch: int = 256
    limit: int = 500
    """Test images that are generated and compared with, evenly spaced over the split."""
    tried: int = 250
    """Validation images that a guidance scale is chosen on."""
    compared: int = 2_000
    """Training images beside them, for text alignment and the memorisation check."""
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 50)
    """Of the samplers."""
    captions_per_image: int = 1
    """Of each training image's captions, so many are encoded with it; 0: all."""
    scales: tuple[float, ...] = (1.5, 2.0, 3.0)
    """Of guidance, in order; the best on validation images is taken for the test images."""
    generator_flags: tuple[str, ...] = ()
    """What differs from the preset."""
    evaluation_flags: tuple[str, ...] = ("--workers", "0")
    seed: int = 0
    speed: Speed


CPU = Budget(
    training_steps=400,
    speed=Speed(training=45, measuring=25, encoding=300, rows=250, drawing=10),
)
GPU = replace(
    CPU,
    captions_per_image=0,
    training_steps=10_000,
    limit=10_000,
    tried=2_000,
    evaluation_flags=("--workers", "4", "--batch-size", "250"),
    speed=replace(CPU.speed, encoding=8_000, rows=8_000, drawing=500),
)
TOY = replace(
    CPU,
    training_steps=2,
    batch=4,
    limit=10,
    tried=10,
    compared=10,
    steps=(1, 2),
    scales=(1.5, 2.0),
    generator_flags=photographs.TOY.generator_flags,
)
BUDGETS = {"cpu": CPU, "gpu": GPU, "toy": TOY}
