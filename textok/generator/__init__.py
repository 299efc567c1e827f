"""Generators over latent tokens."""

from textok.generator.dit import DiT, Prepared
from textok.generator.load import load_generator
from textok.generator.maskgit import MaskGIT
from textok.generator.objective import Objective, objective
from textok.generator.sample import sample
from textok.generator.token_generator import TokenGenerator

__all__ = [
    "DiT",
    "MaskGIT",
    "Objective",
    "Prepared",
    "TokenGenerator",
    "load_generator",
    "objective",
    "sample",
]
