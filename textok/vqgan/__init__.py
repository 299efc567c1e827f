"""VQGANs, whose codes two-stage tokenizers learn."""

from textok.vqgan.vqgan import VQGAN, VQGANDecoder

__all__ = ["VQGAN", "VQGANDecoder"]
