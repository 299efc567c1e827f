"""An image and its caption: uploaded, or one of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from textok.config.check import require
from textok.demo.limits import CHARACTERS, read_picture
from textok.demo.page.lane import QUIET
from textok.demo.page.say import note, spoken

Upload = Mapping[str, object] | None
"""A file as gradio gives it where it does not open it itself: opening is for ``limits``."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Bundled images."""

    paths: Sequence[Path]
    captions: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """The two fields of one image."""

    picture: gr.Image
    caption: gr.Textbox
    changed: tuple[gr.events.Dependency, ...]
    """A sample was clicked, or an image uploaded; the fields are filled in by then."""


def chooser(label: str, samples: Samples, *, first: int, reads_text: bool) -> Chooser:
    """Fields for an image that starts as sample number ``first``."""
    with gr.Group():
        picture = gr.Image(
            str(samples.paths[first]),
            label=label,
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=170,
            buttons=[],
            elem_classes="pictures",
        )
        gallery = gr.Gallery(
            [str(path) for path in samples.paths],
            show_label=False,
            columns=6,
            allow_preview=False,
            object_fit="contain",
            buttons=[],
            interactive=False,
            elem_classes=["pictures", "strip"],
        )
        caption = gr.Textbox(
            samples.captions[first],
            label="Its caption",
            placeholder="Say what is in the picture, as the captions of the samples do",
            lines=1,
            max_lines=6,
            max_length=CHARACTERS,
            visible=reads_text,
        )

    def choose(event: gr.SelectData) -> tuple[str, str]:
        place = event.index
        require(isinstance(place, int) and 0 <= place < len(samples.paths), "no such sample")
        return str(samples.paths[place]), samples.captions[place]

    chosen = gallery.select(spoken(choose), None, [picture, caption], **QUIET)
    uploaded = picture.upload(lambda: "", None, caption, **QUIET)
    return Chooser(picture=picture, caption=caption, changed=(chosen, uploaded))


def chosen_picture(upload: Upload, *, size: int) -> Image.Image:
    """The image of a field. Raises ValueError where it is empty or cannot be read."""
    path = upload.get("path") if isinstance(upload, Mapping) else None
    require(isinstance(path, str), "no picture: choose a sample, or upload one")
    picture, remark = read_picture(str(path), size=size)
    if remark:
        note(remark)
    return picture
