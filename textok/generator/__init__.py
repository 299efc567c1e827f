"""Generators over latent tokens."""

from textok.generator.dit import DiT, Prepared
from textok.generator.load import load_generator
from textok.generator.maskgit import MaskGIT
from textok.generator.sample import sample
from textok.generator.token_generator import TokenGenerator

__all__ = [
    "DiT",
    "MaskGIT",
    "Prepared",
    "TokenGenerator",
    "load_generator",
    "sample",
]
