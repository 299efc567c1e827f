"""Training: one loop, one training step, an objective for each kind of model."""

from textok.train.generator import train_generator
from textok.train.maskgit import train_maskgit
from textok.train.tokenizer import train_tokenizer
from textok.train.vqgan import train_vqgan

__all__ = ["train_generator", "train_maskgit", "train_tokenizer", "train_vqgan"]
