"""Tokenizers with the caption and without, and generators on them: what a study consists of.

A pair has all settings in common but the place of the text; so have the generators on its latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studies.text_gain import Member

PAIR = ("none", "both")
SPLIT = "test"
GeneratorKind = Literal["class", "text"]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one machine is assumed to do, in images a second, for the plan."""

    training: float
    measuring: float
    """Reconstructed and judged in all feature networks."""
    encoding: float
    rows: float
    """Of a generator's training."""
    drawing: float

    def __str__(self) -> str:
        return (
            f"{self.training:g} images/s in training, {self.measuring:g} in measuring, "
            f"{self.encoding:g} in extraction, {self.rows:g} rows/s of generators; text features "
            "and PCA are not counted"
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained, and how much is measured."""

    tokens: tuple[int, ...]
    """K of each pair, in order."""
    seeds: tuple[int, ...]
    places_at: int = 0
    """K at which the text also goes into one side alone; 0 for none."""
    steps: int
    batch: int
    flags: tuple[str, ...] = ()
    """What differs from the preset."""
    limit: int
    """Test pictures measured, evenly spaced over the split; also as many are drawn."""
    captions: tuple[str, ...] = ()
    """Kinds of captions that tokenizers are measured with; all without it."""
    generators_at: int = 0
    """K of the tokenizers that generators are trained on; 0 for none."""
    generator_seeds: tuple[int, ...] = (0,)
    generator_texts: tuple[str, ...] = PAIR
    """Of the tokenizers that generators are trained on."""
    generator_steps: int = 0
    generator_batch: int = 256
    generator_flags: tuple[str, ...] = ()
    captions_per_image: int = 0
    """Captions of each training image that latents are extracted with; 0 for all."""
    networks: tuple[str, ...] = ("efficientnet_lite0", "vgg16")
    """Whose features the Frechet distances are in; the first is the one that counts."""
    evaluation_flags: tuple[str, ...] = ()
    speed: Speed


@dataclass(frozen=True, kw_only=True)
class Study:
    """One data set, its presets and folders."""

    budget: Budget
    data: Path
    runs: Path
    rows: int
    """Captions of all pictures of the train split, for the plan."""
    tokenizer: str
    """Preset of the tokenizers."""
    generators: tuple[tuple[GeneratorKind, str], ...]
    """What generators draw by, and their presets; those of the first kind are compared."""
    judged: Path | None = None
    """Folder of the test pictures alone, for drawn pictures that are not compared with the training
    images; without it they are."""
    compared: int = 0
    """Training pictures that drawn ones are compared with, for the plan."""
    prompts: tuple[str, ...] = ()
    """Of a sheet by each generator that draws by text."""
    caches: Path | None = None
    """Folder of text features, PCA and features of real images; without it ``runs``."""

    @property
    def shared(self) -> Path:
        """The folder of what several runs read."""
        return self.runs if self.caches is None else self.caches


@dataclass(frozen=True, kw_only=True)
class Generator:
    """One generator of a study, on the latents of a tokenizer."""

    tokenizer: Member
    kind: GeneratorKind

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.tokenizer.name}"


def pairs(budget: Budget, seed: int) -> Iterator[Member]:
    """With one seed: none and both at the first K, then at the next."""
    for tokens in budget.tokens:
        for text in PAIR:
            yield Member(tokens=tokens, text=text, seed=seed)


def places(budget: Budget) -> Iterator[Member]:
    """The text in one side alone."""
    for seed in budget.seeds if budget.places_at else ():
        for text in ("encoder", "decoder"):
            yield Member(tokens=budget.places_at, text=text, seed=seed)


def members(budget: Budget) -> list[Member]:
    """Every tokenizer; pairs first, so that an unfinished study already compares."""
    paired = [member for seed in budget.seeds for member in pairs(budget, seed)]
    return [*paired, *places(budget)]


def generators(study: Study, kind: GeneratorKind, *, seed: int) -> list[Generator]:
    """The generators of one kind and seed, on the tokenizers without text and with it."""
    budget = study.budget
    if not budget.generators_at or seed not in budget.generator_seeds:
        return []
    return [
        Generator(tokenizer=Member(tokens=budget.generators_at, text=text, seed=seed), kind=kind)
        for text in budget.generator_texts
    ]


def every_generator(study: Study) -> list[Generator]:
    """All generators of a study."""
    return [
        generator
        for seed in study.budget.seeds
        for kind, _ in study.generators
        for generator in generators(study, kind, seed=seed)
    ]
