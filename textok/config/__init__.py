"""Every setting of textok, as frozen dataclasses, and the strict reader that fills them."""

from textok.config.data import DataConfig, LatentsConfig, TextConfig
from textok.config.decoding import DecodingConfig, DecodingOptions, FlowDecoderConfig
from textok.config.generator import (
    DIT_SIZES,
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
    TokenGeneratorConfig,
)
from textok.config.losses import GanConfig, LossConfig
from textok.config.maskgit import MaskedLossConfig, MaskGITConfig
from textok.config.optim import OptimConfig
from textok.config.run import RunConfig
from textok.config.tokenizer import (
    VIT_SIZES,
    CodebookConfig,
    TokenizerConfig,
    ViTConfig,
)
from textok.config.training import TrainTokenizerConfig, TrainVQGANConfig
from textok.config.training_on_latents import TrainGeneratorConfig, TrainMaskGITConfig
from textok.config.vqgan import VQGANConfig

__all__ = [
    "DIT_SIZES",
    "VIT_SIZES",
    "CodebookConfig",
    "DataConfig",
    "DecodingConfig",
    "DecodingOptions",
    "DiTShape",
    "FlowDecoderConfig",
    "GanConfig",
    "GeneratorConfig",
    "GuidanceConfig",
    "LatentsConfig",
    "LossConfig",
    "MaskGITConfig",
    "MaskedLossConfig",
    "ObjectiveConfig",
    "OptimConfig",
    "RunConfig",
    "SamplingConfig",
    "TextConfig",
    "TokenGeneratorConfig",
    "TokenizerConfig",
    "TrainGeneratorConfig",
    "TrainMaskGITConfig",
    "TrainTokenizerConfig",
    "TrainVQGANConfig",
    "VQGANConfig",
    "ViTConfig",
]
