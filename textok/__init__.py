"""textok: text-conditioned image tokenization (TexTok, TiTok) and generation on its tokens."""

__version__ = "0.1.0"
