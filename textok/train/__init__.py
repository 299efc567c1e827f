"""Training: one loop, one task per thing trained."""

from textok.train.generator import train_generator
from textok.train.tokenizer import train_tokenizer

__all__ = ["train_generator", "train_tokenizer"]
