"""Images decoded from more and more of their tokens, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from textok.config import DecodingConfig
from textok.pipeline import Reconstructor
from textok.runtime.sheet import picture_sheet

BLANK = "white"
WITHOUT = "without the caption"


def budget_sheet(
    reconstructor: Reconstructor,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    budgets: Sequence[int],
    *,
    decoding: DecodingConfig | None = None,
    seeds: Sequence[int] | None = None,
    cell: int = 128,
    title: str | None = None,
) -> Image.Image:
    """One row an image: the original, then decoded from each number of tokens.

    A second row without the caption where the tokenizer reads one and the image has one. A
    decoder that samples starts every column of a row from the same noise.
    """
    originals = [reconstructor.prepare(picture) for picture in pictures]
    reads = reconstructor.config.text != "none"
    ways: dict[bool, list[list[Image.Image]]] = {}
    for told in (True, False) if reads and any(captions) else (False,):
        given = captions if told else None
        latents = reconstructor.encode(originals, given)
        ways[told] = [
            reconstructor.decode(latents.first(k), given, seeds=seeds, decoding=decoding)
            for k in budgets
        ]
    rows = [
        (place, told)
        for place, caption in enumerate(captions)
        for told in ways
        if told == bool(caption.strip()) or not told
    ]
    first = {place: row for row, (place, _) in reversed(list(enumerate(rows)))}
    empty = Image.new("RGB", originals[0].size, BLANK)
    columns = {
        "original": [
            originals[place] if first[place] == row else empty
            for row, (place, _) in enumerate(rows)
        ]
    }
    for column, k in enumerate(budgets):
        name = f"{k} token" if k == 1 else f"{k} tokens"
        columns[name] = [ways[told][column][place] for place, told in rows]
    texts = [
        captions[place] if told or len(ways) == 1 else WITHOUT if captions[place].strip() else ""
        for place, told in rows
    ]
    return picture_sheet(columns, texts, cell=cell, title=title)
