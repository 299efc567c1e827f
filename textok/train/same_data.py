"""Whether a training that goes on reads what it read before."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from textok.data.fingerprint import Fingerprint, captions_digest, read_fingerprint
from textok.latents import LatentSet
from textok.runtime.run_folder import RunFolder

PLACES = (
    *("data.path", "data.captions", "data.class_captions", "data.table", "data.images"),
    "latents.path",
)
"""Settings that say where the data lie: they may change as long as the data do not."""

_LOGGER = logging.getLogger(__name__)


def check_data(
    folder: RunFolder, config: Any, now: Fingerprint, *, allow_changed: bool = False
) -> None:
    """Compare ``now`` with what the run in ``folder`` was begun with, if it was begun.

    Raises ValueError, one line, where the data are others, unless ``allow_changed``; or where they
    lie elsewhere and nothing tells whether they are the same.
    """
    if not folder.begun:
        return
    moved = folder.changes(config, PLACES)
    before = read_fingerprint(folder.fingerprint)
    of_latents = hasattr(config, "latents")
    name, noun = ("latents.path", "rows") if of_latents else ("data.path", "images")
    allow = "" if of_latents else "; data.allow_changed goes on with it"
    if before is None and moved and not allow_changed:
        place, then, here = moved[0]
        raise ValueError(
            f"{folder.root} was started with {place} = {then!r}, not {here!r}, and has no list of "
            f"what it read there to compare with: set it back{allow}"
        )
    difference = "" if before is None else before.difference(now)
    if difference and not allow_changed:
        raise ValueError(
            f"{name}: the data have changed since {folder.root} was started: {difference}; restore "
            f"them, or choose another run.out{allow}"
        )
    if difference:
        _LOGGER.info("%s: the data have changed since the run was started: %s", name, difference)
    for place, then, here in moved:
        same = "" if difference or before is None else f": the same {len(now.keys)} {noun}"
        _LOGGER.info("%s was %s and is %s%s", place, then or "empty", here or "empty", same)


def latents_fingerprint(latents: LatentSet) -> Fingerprint:
    """Of rows: their images, captions and classes, and what their numbers come to."""
    index, rows = latents.index, latents.rows
    numbers = (index.tokenizer_sha256, index.num_tokens, index.classes, index.mean, index.std)
    digest = hashlib.sha256(json.dumps(numbers).encode()).hexdigest()
    return Fingerprint(
        keys=[row.key for row in rows],
        captions=[captions_digest([row.caption]) for row in rows],
        labels=[row.label for row in rows],
        sizes=[-1] * len(rows),
        whole={"the index of the latents": digest[:8]},
    )
