"""Latents on disk: single files, and whole data sets that a generator is trained on."""

from textok.latents.file import load_latents, save_latents
from textok.latents.index import LatentIndex, read_index
from textok.latents.scale import LatentScale
from textok.latents.store import LatentSet, open_latents

__all__ = [
    "LatentIndex",
    "LatentScale",
    "LatentSet",
    "load_latents",
    "open_latents",
    "read_index",
    "save_latents",
]
