"""How many tokens captions are to a text encoder, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from textok.text.encoder import load_tokenizer
from textok.text.folder import find_text_model

_AT_ONCE = 1024


class TokenCounter:
    """Counts tokens, special ones included, as the text encoder ``name`` would before it cuts.

    Raises ValueError where there is no such encoder.
    """

    def __init__(self, name: str) -> None:
        folder = find_text_model(name, weights=False)
        self.limit = folder.positions
        """The longest input, None where there is no limit."""
        self._tokenizer = load_tokenizer(folder)

    def __call__(self, captions: Sequence[str]) -> list[int]:
        left = iter(captions)
        lengths: list[int] = []
        while some := list(islice(left, _AT_ONCE)):
            lengths += map(len, self._tokenizer(some, verbose=False)["input_ids"])
        return lengths
