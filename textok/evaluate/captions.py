"""The captions an evaluation gives: true, plain, none, or another image's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from textok.config.evaluation import CaptionMode
from textok.data import Record

MODES: dict[CaptionMode, str] = {
    "true": "the first caption of each image",
    "plain": "the second caption of each image, the first where there is one alone",
    "absent": "no caption",
    "shuffled": "the caption of another image, in encoder and decoder (fixed derangement, seed 0)",
}
"""Every mode and what it means, as reports state it."""


def captions_by_key(mode: CaptionMode, records: Sequence[Record]) -> dict[str, str]:
    """The caption that ``mode`` gives to each record, "" for none."""
    if mode == "absent":
        return dict.fromkeys((record.key for record in records), "")
    place = 1 if mode == "plain" else 0
    captions = [(record.captions[: place + 1] or ("",))[-1] for record in records]
    if mode == "shuffled":
        captions = derange(captions)
    return dict(zip((record.key for record in records), captions, strict=True))


def usable_modes(modes: Sequence[CaptionMode], records: Sequence[Record]) -> list[CaptionMode]:
    """The distinct ``modes`` that differ on these records.

    Plain needs a second caption, all but absent any.
    """
    most = max(len(record.captions) for record in records)
    needed = {"true": 1, "plain": 2, "absent": 0, "shuffled": 1}
    return [mode for mode in dict.fromkeys(modes) if needed[mode] <= most]


def derange(captions: Sequence[str], *, seed: int = 0) -> list[str]:
    """Give every place a caption of another place, and of another wording where there is one.

    Equal captions are put side by side, in a random order of wordings, and everything is moved
    along by the length of the longest run: no place meets its own wording unless that wording
    fills more than half of all places.
    """
    places = defaultdict(list)
    for place, caption in enumerate(captions):
        places[caption].append(place)
    runs = list(places.values())
    shuffled = np.random.default_rng(seed).permutation(len(runs))
    order = [place for run in shuffled for place in runs[run]]
    step = max(map(len, runs))
    given = [""] * len(captions)
    for index, place in enumerate(order):
        given[place] = captions[order[(index + step) % len(order)]]
    return given
