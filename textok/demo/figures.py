"""Images with words, as HTML without scripts or links: every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

from PIL import Image

from textok.demo.explore import Grid
from textok.demo.reconstruct import GAIN, Comparison, Way
from textok.demo.studio import Studio

SMALL = 192
"""Images of fewer pixels a side are enlarged with sharp pixels."""
TITLES = {"with": "Its caption", "without": "No caption", "own": "Your caption"}


def comparison(found: Comparison, studio: Studio, *, num_tokens: int | None = None) -> str:
    """A card for the original and for each reconstruction, and what the caption was worth."""
    width, height = found.original.size
    under = ""
    if found.change is not None:
        under = _under(found.change, f"what the caption changed, x {GAIN}")
    lines = [f"{width} x {height} pixels,", f"{width * height * 3:,} numbers"]
    cards = [_card("Original", found.original, lines, under)]
    for name, way in found.ways.items():
        under = _under(way.difference, f"difference from the original, x {GAIN}")
        cards.append(_card(TITLES[name], way.picture, _measures(way), under))
    if found.whole is not None:
        title = f"{TITLES['with' if found.whole.caption else 'without']}, all tokens"
        under = _under(found.whole.difference, f"difference from the original, x {GAIN}")
        cards.append(_card(title, found.whole.picture, _measures(found.whole), under))
    kept = f"Kept: {studio.tokens(num_tokens)}; {studio.bits(num_tokens)}."
    words = [kept, _worth(found, studio), studio.lacks]
    notes = "".join(f"<p>{escape(word)}</p>" for word in words if word)
    shown = f'<div class="cards">{"".join(cards)}</div>{_samples(found)}'
    return f'{shown}<div class="notes">{notes}</div>'


def grid(found: Grid) -> str:
    """Rows with a title each, columns with theirs above the images."""
    columns = len(found.columns)
    rows = []
    for name, pictures in zip(found.rows, found.pictures, strict=True):
        cells = "".join(
            _figure(picture, title) for picture, title in zip(pictures, found.columns, strict=True)
        )
        rows.append(
            f'<h4>{escape(name)}</h4><div class="cells" style="--n:{columns}">{cells}</div>'
        )
    return f'<div class="grid">{"".join(rows)}</div>'


def strip(pictures: Sequence[tuple[float, Image.Image]]) -> str:
    """Images in a row, each with its share of the second image."""
    cells = "".join(_figure(picture, f"{100 * place:.0f} %") for place, picture in pictures)
    return f'<div class="cells" style="--n:{len(pictures)}">{cells}</div>'


def _samples(found: Comparison) -> str:
    """Images of the same tokens from other noise, and their mean, in a row; "" without any."""
    if found.mean is None:
        return ""
    cells = [_figure(one.picture, f"PSNR {one.psnr:.2f} dB") for one in found.samples]
    cells.append(_figure(found.mean.picture, f"their mean, PSNR {found.mean.psnr:.2f} dB"))
    title = "Samples: the same tokens and caption, other noise"
    if "with" not in found.ways:
        title = "Samples: the same tokens, other noise"
    row = f'<div class="cells" style="--n:{len(cells)}">{"".join(cells)}</div>'
    return f'<div class="grid samples"><h4>{title}</h4>{row}</div>'


def _measures(way: Way) -> list[str]:
    far = [] if way.perceptual is None else [f"perceptual {way.perceptual:.3f}"]
    return [f"PSNR {way.psnr:.2f} dB", *far]


def _worth(found: Comparison, studio: Studio) -> str:
    """What the caption did to the numbers, for better or worse."""
    if "with" not in found.ways:
        return "Give the picture a caption to see what that changes." if studio.reads_text else ""
    given, absent = found.ways["with"], found.ways["without"]
    words = []
    if given.perceptual is not None and absent.perceptual is not None:
        words.append(
            f"the perceptual distance goes from {absent.perceptual:.3f} to {given.perceptual:.3f} "
            "(less is better)"
        )
    words.append(f"PSNR from {absent.psnr:.2f} to {given.psnr:.2f} dB (more is better)")
    single = " Both are single samples, whose PSNR is below that of their mean."
    return f"By the caption {', '.join(words)}.{single if found.samples else ''}"


def _card(title: str, picture: Image.Image, lines: Sequence[str], under: str) -> str:
    words = "".join(f"<span>{escape(line)}</span>" for line in lines)
    return (
        f'<figure class="card"><figcaption><b>{escape(title)}</b></figcaption>'
        f"{_image(picture, title)}<figcaption>{words}</figcaption>{under}</figure>"
    )


def _under(picture: Image.Image, words: str) -> str:
    return f'<div class="under">{_image(picture, words)}<small>{escape(words)}</small></div>'


def _figure(picture: Image.Image, words: str) -> str:
    return f"<figure>{_image(picture, words)}<figcaption>{escape(words)}</figcaption></figure>"


def _image(picture: Image.Image, words: str) -> str:
    data = BytesIO()
    picture.save(data, format="PNG")
    source = base64.b64encode(data.getvalue()).decode()
    sharp = ' class="sharp"' if max(picture.size) < SMALL else ""
    return f'<img{sharp} alt="{escape(words)}" src="data:image/png;base64,{source}">'
