"""The tab that shows what a caption does for an image's tokens."""

from __future__ import annotations

import gradio as gr

from textok.demo import figures
from textok.demo.limits import CHARACTERS, SAMPLES, checked_text, checked_whole, read_picture
from textok.demo.page.chooser import Samples, Upload, chooser, chosen_picture
from textok.demo.page.lane import LANE
from textok.demo.page.say import spoken
from textok.demo.reconstruct import compare
from textok.demo.studio import Studio

LEAD = (
    "A picture goes through **{k} tokens** and back. Beside the caption the tokens need not say "
    "what the caption says, so they hold more of the rest: compare with and without."
)
NESTED = " The fewer tokens are kept, the more the caption is worth: here you begin with one."
FREE = (
    " Its decoder samples one of the pictures that tokens and caption allow: fewer tokens, more "
    "variation."
)
OWN = "men black watch"
FEW_SAMPLES = 4
NO_TEXT = "A picture goes through **{k} tokens** and back. This tokenizer reads no caption."


def reconstruct_tab(studio: Studio, samples: Samples) -> None:
    """Fields, a button, and the reconstructions; those of the first sample are there at once."""
    config = studio.config
    gr.Markdown(
        (LEAD if studio.reads_text else NO_TEXT).format(k=config.num_tokens)
        + (NESTED if studio.reads_text and config.nested else "")
        + (FREE if studio.samples else ""),
        elem_classes="lead",
    )

    fewest = studio.fewest_tokens

    def answer(
        upload: Upload, caption: object, own: object, kept: object, count: object = 0
    ) -> str:
        picture = chosen_picture(upload, size=config.image_size)
        k = checked_whole(kept, "tokens kept", fewest, config.num_tokens)
        found = compare(
            studio,
            picture,
            checked_text(caption, "caption"),
            checked_text(own, "caption of your own"),
            num_tokens=k,
            num_samples=checked_whole(count, "samples", 0, SAMPLES),
        )
        return figures.comparison(found, studio, num_tokens=k)

    first, _ = read_picture(samples.paths[0], size=config.image_size)
    few = 1 if config.nested else config.num_tokens
    several = FEW_SAMPLES if studio.samples else 0
    found = compare(studio, first, samples.captions[0], OWN, num_tokens=few, num_samples=several)
    start = figures.comparison(found, studio, num_tokens=few)
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            fields = chooser("Picture", samples, first=0, reads_text=studio.reads_text)
            own = gr.Textbox(
                OWN,
                label="A caption of your own, to compare",
                max_length=CHARACTERS,
                visible=studio.reads_text,
            )
            kept = gr.Slider(
                fewest,
                config.num_tokens,
                few,
                step=1,
                label="Tokens kept",
                visible=config.nested,
            )
            count = gr.Slider(0, SAMPLES, several, step=1, label="Samples", visible=studio.samples)
            go = gr.Button("Reconstruct", variant="primary")
        with gr.Column(scale=5, min_width=300, elem_classes="result"):
            shown = gr.HTML(start, elem_id="comparison")
    # A decoder that makes one image of its tokens has no samples to ask for.
    inputs = [fields.picture, fields.caption, own, kept, *([count] if studio.samples else [])]
    work = spoken(answer)
    gr.on(
        [go.click, fields.caption.submit, own.submit, kept.release, count.release],
        work,
        inputs,
        shown,
        api_name="reconstruct",
        trigger_mode="always_last",  # a slider that is moved meanwhile is not forgotten
        **LANE,
    )
    for changed in fields.changed:
        changed.success(work, inputs, shown, api_visibility="private", **LANE)
