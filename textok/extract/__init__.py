"""A whole captioned data set as latents on the disk."""

from textok.extract.extraction import extract

__all__ = ["extract"]
