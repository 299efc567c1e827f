"""Released weights of other projects as models of textok."""

from textok.convert.convert import convert_1d_tokenizer
from textok.convert.lpips import convert_lpips

__all__ = ["convert_1d_tokenizer", "convert_lpips"]
