"""The sheet of a study: test pictures, and what is left of them without text and with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from studies.curves import draw_curves
from studies.pairs.study import SPLIT, Study, members
from studies.text_gain import Member
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.evaluate.captions import captions_by_key, derange
from textok.evaluate.reconstruction import evenly
from textok.pipeline import Reconstructor
from textok.runtime.files import atomic_write
from textok.runtime.sheet import picture_sheet

ROWS = 10
CELL = 128


class Shown(NamedTuple):
    """Evenly spaced images of the test split, each with its caption."""

    keys: list[str]
    pictures: list[Image.Image]
    captions: list[str]


def shown_images(data: Path, *, size: int, count: int) -> Shown:
    """``count`` of them, as a tokenizer of ``size`` pixels sees them."""
    config = DataConfig(path=str(data), split=SPLIT, workers=0)
    images = evenly(open_captioned_images(config, image_size=size), count)
    keys = [record.key for record in images.records]
    by_key = captions_by_key("true", images.records)
    pictures = [Image.fromarray(images.read(at, flip=False)) for at in range(len(keys))]
    return Shown(keys, pictures, [by_key[key] for key in keys])


def write_sheet(study: Study, tokens: int, out: Path, *, rows: int = ROWS) -> None:
    """``out/sheet.webp``, once both tokenizers of K = ``tokens`` and the first seed are trained.

    One that is newer than they stays.
    """
    seed = study.budget.seeds[0]
    models: Mapping[str, Path] = {
        text: study.runs / Member(tokens=tokens, text=text, seed=seed).name
        for text in ("none", "both")
    }
    trained = [run / "report.md" for run in models.values()]
    if not all(report.exists() for report in trained) or newer(out / "sheet.webp", trained):
        return
    none, both = (
        Reconstructor.from_pretrained(run / "model", text_cache=study.shared / "text-cache")
        for run in models.values()
    )
    _, pictures, true = shown_images(study.data, size=none.config.image_size, count=rows)
    wrong = derange(true)
    kept = f"{tokens} token{'s' if tokens > 1 else ''}"
    columns = {
        "original": pictures,
        f"{kept}, no text": none.reconstruct(pictures),
        f"{kept} and the caption": both.reconstruct(pictures, true),
        "the same, caption absent": both.reconstruct(pictures),
        "the same, wrong caption": both.reconstruct(pictures, wrong),
    }
    told = [f"{right}\nwrong: {other}" for right, other in zip(true, wrong, strict=True)]
    save_webp(picture_sheet(columns, told, cell=CELL), out / "sheet.webp")


def newer(path: Path, others: Sequence[Path]) -> bool:
    """Whether ``path`` is there and was written after all the others."""
    newest = max(other.stat().st_mtime for other in others)
    return path.exists() and path.stat().st_mtime > newest


def write_curves(study: Study, out: Path) -> None:
    """``out/curves.png``: the distance that is trained on against images seen."""
    runs = [study.runs / member.name for member in members(study.budget)]
    trained = [run for run in runs if (run / "report.md").exists()]
    if trained:
        draw_curves(trained, out / "curves.png", value="perceptual", label="perceptual loss")


def save_webp(picture: Image.Image | Path, path: Path) -> None:
    """A third of the bytes of a PNG, which the repository carries for ever; that of a file, too."""
    if isinstance(picture, Path):
        picture = Image.open(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        picture.convert("RGB").save(temporary, format="webp", quality=80, method=6)
