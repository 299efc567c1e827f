"""textok behind the calls of diffusers (https://github.com/huggingface/diffusers), if installed."""

from diffusers import ModelMixin

from textok.pipeline.diffusers.autoencoder import AutoencoderTexTok, TokenDistribution
from textok.pipeline.diffusers.model import TexTokModel
from textok.pipeline.diffusers.pipeline import TexTokPipeline

__all__ = [
    "AutoencoderTexTok",
    "ModelMixin",  # by which diffusers knows that TexTokModel is loaded by `from_pretrained`
    "TexTokModel",
    "TexTokPipeline",
    "TokenDistribution",
]
