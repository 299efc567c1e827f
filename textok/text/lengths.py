"""How many tokens captions are to a text encoder, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from textok.text.encoder import load_tokenizer
from textok.text.folder import find_text_model
from textok.text.unread import Vocabulary

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
        self._vocabulary = Vocabulary(self._tokenizer)

    def __call__(self, captions: Sequence[str]) -> tuple[list[int], list[str]]:
        """The length of each, and those that have words that the encoder cannot read."""
        left = iter(captions)
        lengths: list[int] = []
        unread: list[str] = []
        while some := list(islice(left, _AT_ONCE)):
            ids = self._tokenizer(some, verbose=False)["input_ids"]
            lengths += map(len, ids)
            lost = zip(some, map(self._vocabulary.loses, ids), strict=True)
            unread += [caption for caption, loses in lost if loses]
        return lengths, unread
