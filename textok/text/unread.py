"""Words that a text encoder cannot read, because its vocabulary has no pieces for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

SHOWN, LONGEST = 5, 40
BEFORE_CJK = 0x2E80
"""Ideographs, kana and Hangul syllables, which come after it, are words or syllables by
themselves."""
FEWEST = 3
"""So many single letters, or more, are a word spelled out."""

_LOGGER = logging.getLogger(__name__)


class Vocabulary:
    """Tells which token ids stand for text that is lost.

    A caption cannot be read in part where it holds the unknown token, as Chinese or emoji do for
    an English encoder, and as a whole where it is mostly spelled letter by letter in a script that
    the vocabulary has no words of, as Russian or Arabic is. A byte-level vocabulary (CLIP) has no
    unknown token.
    """

    def __init__(self, tokenizer: Any) -> None:
        names = ("eos_token_id", "bos_token_id", "pad_token_id", "cls_token_id", "sep_token_id")
        others = [getattr(tokenizer, name, None) for name in names]
        unknown = getattr(tokenizer, "unk_token_id", None)
        self._unknown = -1 if unknown is None or unknown in others else unknown
        self._tokenizer = tokenizer
        self._letters: dict[int, bool] = {}  # of ids that were met: a vocabulary has many more

    def loses(self, ids: Sequence[int]) -> bool:
        """Whether these tokens of one text leave something of it out."""
        if self._unknown in ids:
            return True
        new = [number for number in set(ids) if number not in self._letters]
        if new:
            tokens = self._tokenizer.convert_ids_to_tokens(new)
            self._letters |= zip(new, map(_is_foreign_letter, tokens), strict=True)
        letters = sum(self._letters[number] for number in ids)
        return letters >= FEWEST and 2 * letters > len(ids)

    def unread(self, captions: Sequence[str]) -> list[bool]:
        """Whether each caption has words that cannot be read."""
        if not captions:
            return []
        ids = self._tokenizer(list(captions), verbose=False)["input_ids"]
        return [self.loses(one) for one in ids]

    def unread_words(self, caption: str) -> list[str]:
        """The words of a caption, split at blanks, that cannot be read."""
        if not any(self.unread([caption])):
            return []
        words = list(dict.fromkeys(caption.split()))
        alone = self._tokenizer(words, verbose=False)["input_ids"]
        lost = [word for word, ids in zip(words, alone, strict=True) if self.loses(ids)]
        return lost or words


def tell_unread(encoder: str, unread: Sequence[str], count: int, *, sample: bool = False) -> None:
    """Say how many of ``count`` captions ``encoder`` cannot read, if any."""
    if unread:
        of = f"a sample of {count:,}" if sample else f"{count:,}"
        _LOGGER.info(
            "%d of %s captions have words that text.encoder %s cannot read, first: %s; %s",
            len(unread), of, encoder, cut(unread[0]), advice(encoder),
        )  # fmt: skip


def advice(encoder: str) -> str:
    """What to do where an encoder cannot read a text."""
    reads = "it reads English; " if encoder == "minilm" else ""
    return f"{reads}docs/text.md says which encoder reads which languages"


def cut(text: str) -> str:
    """The beginning of a text, in quotes."""
    return f"'{text}'" if len(text) <= LONGEST else f"'{text[:LONGEST]}...'"


def _is_foreign_letter(token: str) -> bool:
    letter = token.removeprefix("##").removesuffix("</w>").strip("▁Ġ")
    return len(letter) == 1 and letter.isalpha() and 0x7F < ord(letter) < BEFORE_CJK
