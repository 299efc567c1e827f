"""Text-conditioned 1-D image tokenizers."""

from textok.tokenizer.bottleneck import kl_divergence
from textok.tokenizer.decoder_input import FlowDraw
from textok.tokenizer.tokenizer import Tokenizer

__all__ = ["FlowDraw", "Tokenizer", "kl_divergence"]
