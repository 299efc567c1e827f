"""Generators over latent tokens."""

from textok.generator.dit import DiT, Prepared
from textok.generator.objective import Objective, objective
from textok.generator.sample import sample

__all__ = ["DiT", "Objective", "Prepared", "objective", "sample"]
