"""Every dial of textok, as frozen dataclasses, and the strict reader that fills them."""

from textok.config.data import DataConfig, LatentsConfig, TextConfig
from textok.config.generator import (
    DIT_SIZES,
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
)
from textok.config.tokenizer import VIT_SIZES, TokenizerConfig, ViTConfig
from textok.config.training import (
    GanConfig,
    LossConfig,
    OptimConfig,
    RunConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
)

__all__ = [
    "DIT_SIZES",
    "VIT_SIZES",
    "DataConfig",
    "DiTShape",
    "GanConfig",
    "GeneratorConfig",
    "GuidanceConfig",
    "LatentsConfig",
    "LossConfig",
    "ObjectiveConfig",
    "OptimConfig",
    "RunConfig",
    "SamplingConfig",
    "TextConfig",
    "TokenizerConfig",
    "TrainGeneratorConfig",
    "TrainTokenizerConfig",
    "ViTConfig",
]
