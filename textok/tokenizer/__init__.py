"""Text-conditioned 1-D image tokenizers."""

from textok.tokenizer.bottleneck import kl_divergence
from textok.tokenizer.tokenizer import Reconstruction, Tokenizer

__all__ = ["Reconstruction", "Tokenizer", "kl_divergence"]
