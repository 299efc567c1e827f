"""Text-conditioned 1-D image tokenizers."""

from textok.tokenizer.bottleneck import kl_divergence
from textok.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer", "kl_divergence"]
