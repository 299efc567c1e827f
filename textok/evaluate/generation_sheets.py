"""Sheets of generated images beside real ones, and beside their nearest in training."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from textok.data import CaptionedImages
from textok.data.order import evenly_spaced
from textok.data.pixels import BadImageError, to_pil, to_tensor
from textok.evaluate.generated import GeneratedImages
from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.generation_scores import Nearness
from textok.runtime.sheet import PAPER, picture_sheet

ROWS = 16
"""Rows of a block; several blocks stand side by side."""
CELL = 96


def sample_sheet(
    inputs: GenerationInputs, generated: GeneratedImages, *, pictures: int
) -> Image.Image:
    """Images of as many prompts, evenly spaced, each beside a real image of the same prompt."""
    samples = inputs.samples
    # The first pass over the prompts: later ones repeat them.
    first = min(len(samples), max(pictures, len(set(samples.conditions))))
    count = min(pictures, first)
    places = evenly_spaced(first, count)
    made = [to_pil(image) for image in generated.images(places)]
    real = [_real(inputs.images, samples.twins[place]) for place in places]
    captions = [samples.conditions[place] for place in places]
    blocks = []
    for start in range(0, count, ROWS):
        rows = slice(start, start + ROWS)
        columns = {"real": real[rows], "drawn": made[rows]}
        blocks.append(picture_sheet(columns, captions[rows], cell=CELL))
    return _side_by_side(blocks)


def memorisation_sheet(
    inputs: GenerationInputs, generated: GeneratedImages, near: Nearness
) -> Image.Image:
    """The generated images nearest to training, then some evenly spaced, with their neighbours."""
    samples, (distances, rows) = inputs.samples, (near.drawn.distances, near.drawn.rows)
    count = min(ROWS, len(samples))
    groups = {
        "nearest to training of all": distances[:, 0].argsort(stable=True)[:count].tolist(),
        "evenly chosen": evenly_spaced(len(samples), count),
    }
    blocks = []
    for title, places in groups.items():
        columns = {"drawn": [to_pil(image) for image in generated.images(places)]}
        for k, several in enumerate(rows[places].T.tolist(), start=1):
            columns[f"nearest {k}"] = [_real(near.training, row) for row in several]
        texts = [
            f"{samples.conditions[place]}\n\n{_listed(distances[place].tolist())}"
            for place in places
        ]
        blocks.append(picture_sheet(columns, texts, cell=CELL, title=title))
    return _side_by_side(blocks)


def _side_by_side(sheets: Sequence[Image.Image]) -> Image.Image:
    size = (sum(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets))
    whole = Image.new("RGB", size, PAPER)
    left = 0
    for sheet in sheets:
        whole.paste(sheet, (left, 0))
        left += sheet.width
    return whole


def _real(images: CaptionedImages, place: int | None) -> Image.Image:
    """A real image; an empty one where there is none, or none that can be read."""
    empty = Image.new("RGB", (images.image_size, images.image_size), PAPER)
    if place is None:
        return empty
    try:
        return to_pil(to_tensor(images.read(place)))
    except (BadImageError, OSError):
        return empty  # counted and named by the report already


def _listed(distances: Sequence[float]) -> str:
    return ", ".join(f"{distance:.3f}" for distance in distances)
