"""textok behind the calls of diffusers (https://github.com/huggingface/diffusers), if installed."""

from textok.pipeline.diffusers.autoencoder import AutoencoderTexTok, TokenDistribution
from textok.pipeline.diffusers.model import TexTokModel
from textok.pipeline.diffusers.pipeline import TexTokPipeline

__all__ = [
    "AutoencoderTexTok",
    "TexTokModel",
    "TexTokPipeline",
    "TokenDistribution",
]
