"""Every dial of textok, as frozen dataclasses, and the strict reader that fills them."""

from textok.config.data import DataConfig, TextConfig
from textok.config.tokenizer import VIT_SIZES, TokenizerConfig, ViTConfig
from textok.config.training import (
    GanConfig,
    LossConfig,
    OptimConfig,
    RunConfig,
    TrainTokenizerConfig,
)

__all__ = [
    "VIT_SIZES",
    "DataConfig",
    "GanConfig",
    "LossConfig",
    "OptimConfig",
    "RunConfig",
    "TextConfig",
    "TokenizerConfig",
    "TrainTokenizerConfig",
    "ViTConfig",
]
