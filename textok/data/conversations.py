"""Conversations about an image, as LLaVA, ShareGPT, OpenAI and others keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ANSWERING = ("assistant", "gpt", "model", "bot", "chatgpt", "chatbot", "ai")
"""What a model is called in its turns."""
ASKING = ("user", "human", "prompter")
OTHERS = ("system", "developer", "tool", "function", "observation")
BY_KEY = (("user", "assistant"), ("human", "gpt"))
"""Question and answer as two fields of one turn."""
SPEAKER = ("from", "role")
SAID = ("value", "content", "parts", "text")
"""What is said in a turn; a text beside a name may be anyone's, so the name has to be known."""


class Turn(NamedTuple):
    """What one says."""

    speaker: str
    said: object


def first_answer(entries: Sequence[object]) -> str | None:
    """What the model says first: empty where it says nothing, None where these are no turns.

    A model of an unknown name is who answers somebody that asks.
    """
    turns = [turn for entry in entries for turn in turns_of(entry)]
    if not turns:
        return None
    known = [turn for turn in turns if turn.speaker in ANSWERING]
    if not known and any(turn.speaker in ASKING for turn in turns):
        known = [turn for turn in turns if turn.speaker not in (*ASKING, *OTHERS)]
    return _text(known[0].said).replace("<image>", "") if known else ""


def turns_of(entry: object) -> list[Turn]:
    """The turns in an entry of a list; none where it is something else."""
    if not isinstance(entry, Mapping):
        return []
    speaker = next((entry[name] for name in SPEAKER if isinstance(entry.get(name), str)), None)
    said = next((name for name in SAID if name in entry), None)
    if speaker is not None and said is not None:
        name = speaker.strip().casefold()
        known = name in (*ANSWERING, *ASKING, *OTHERS)
        return [Turn(name, entry[said])] if known or said != "text" else []
    pair = next((pair for pair in BY_KEY if all(name in entry for name in pair)), ())
    return [Turn(name, entry[name]) for name in pair]


def _text(said: object) -> str:
    """A text, or what the parts of a message say, of which some are images."""
    if isinstance(said, str):
        return said
    if isinstance(said, Mapping):
        return _text(said.get("text"))
    parts = said if isinstance(said, (list, tuple)) else ()
    return " ".join(text for text in map(_text, parts) if text)
