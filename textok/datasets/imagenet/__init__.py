"""ImageNet (ILSVRC 2012) from any of its usual layouts to tar shards: list, write, count."""

from textok.datasets.imagenet.build import SplitSummary, build_imagenet

__all__ = ["SplitSummary", "build_imagenet"]
