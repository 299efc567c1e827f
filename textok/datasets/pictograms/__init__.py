"""Real captioned images from npm packages: fetch, draw, caption, split by concept."""

from textok.datasets.pictograms.build import Summary, build_pictograms

__all__ = ["Summary", "build_pictograms"]
