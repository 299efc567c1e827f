"""Tiny ImageNet as published to tar shards with captions from names and boxes."""

from textok.datasets.tiny_imagenet.build import SplitSummary, build_tiny_imagenet

__all__ = ["SplitSummary", "build_tiny_imagenet"]
