"""Released weights of other projects as models of textok."""

from textok.convert.convert import convert_1d_tokenizer

__all__ = ["convert_1d_tokenizer"]
