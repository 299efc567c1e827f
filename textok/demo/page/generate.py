"""The tab that generates images from a prompt, or of a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import gradio as gr

from textok.demo.draw import draw
from textok.demo.limits import CHARACTERS, PICTURES, checked_text, checked_whole
from textok.demo.page.lane import LANE, QUIET, Stop
from textok.demo.page.sampling import (
    checked_prompt,
    checked_sampling,
    checked_seed,
    prompt_field,
    sampler_fields,
    seed_field,
)
from textok.demo.page.say import spoken
from textok.demo.studio import Studio

LEAD = (
    "A generator makes **{k} tokens** out of noise and your {what}; the decoder{reads} makes a "
    "picture of them. The same seed is the same picture."
)
NONE = (
    "{name} is a tokenizer without a generator: it draws nothing. `textok train generator` trains "
    "one for its tokens."
)
KEPT = (
    "Each PNG to download says inside what it was drawn from: `textok generate --repeat FILE.png` "
    "draws it again."
)
DrawnFiles = list[tuple[str, str]]
AT_ONCE = 4
"""Most passes of the generator an image with which the page generates while one types."""


def generate_tab(studio: Studio, folder: Path, stop: Stop) -> None:
    """Fields and a gallery, or why there are none."""
    pipe = studio.pipe
    if pipe is None:
        gr.Markdown(NONE.format(name=studio.name), elem_classes="lead")
        return
    what = "class" if studio.draws_classes else "prompt"
    reads = ", which reads it too," if studio.config.decoder_reads_text else ""
    lead = LEAD.format(k=pipe.generator.config.num_tokens, what=what, reads=reads)
    gr.Markdown(lead, elem_classes="lead")
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            prompt = prompt_field(studio)
            count = gr.Slider(1, PICTURES, 4, step=1, label="Pictures")
            fields = sampler_fields(studio)
            seed = seed_field()
            with gr.Accordion("More", open=False):
                away = gr.Textbox(
                    "",
                    label=f"A {what} to lead away from",
                    max_length=CHARACTERS,
                    visible=pipe.generator.config.takes_negative,
                )
                sampler = gr.Dropdown(studio.samplers, value=pipe.sampling.sampler, label="Sampler")
            with gr.Row():
                go = gr.Button("Draw", variant="primary", scale=3)
                halt = gr.Button("Stop", scale=1, min_width=80)
        with gr.Column(scale=5, min_width=300):
            gallery = gr.Gallery(
                show_label=False,
                columns=4,
                object_fit="contain",
                buttons=["download", "download_all", "fullscreen"],
                interactive=False,
                elem_id="drawn",
                elem_classes="pictures",
            )
            gr.Markdown(KEPT, elem_classes="quiet")
    submits = [] if studio.draws_classes else [cast("gr.Textbox", prompt).submit]
    asked = [prompt, count, fields.steps, fields.guidance, seed, fields.temperature, sampler, away]
    answer = spoken(_answer(studio, folder, stop))
    gr.on([go.click, *submits], answer, asked, gallery, api_name="generate", **LANE)
    if pipe.sampling.sampler == "meanflow" and pipe.sampling.steps <= AT_ONCE:
        # "always_last": of what is typed while an image is made, the last is made next.
        prompt.input(answer, asked, gallery, trigger_mode="always_last", **LANE, **QUIET)
    halt.click(stop.ask, api_visibility="private")


def _answer(studio: Studio, folder: Path, stop: Stop) -> Callable[..., DrawnFiles]:
    def answer(
        prompt: object,
        count: object,
        steps: object,
        guidance: object,
        seed: object,
        temperature: object,
        sampler: object,
        away: object,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio looks for it here
    ) -> DrawnFiles:
        """Files of the images, each with its seed."""
        text = checked_prompt(prompt, studio)
        num_images = checked_whole(count, "pictures", 1, PICTURES)
        first = checked_seed(seed)
        sampling = checked_sampling(
            studio, steps=steps, guidance=guidance, temperature=temperature, sampler=sampler
        )
        negative = checked_text(away, "text to lead away from")

        def show(done: int) -> None:
            progress((done, sampling.steps), desc="drawing", unit="steps")

        with stop.watched(request, show) as on_step:
            paths = draw(
                studio,
                text,
                folder,
                num_images=num_images,
                seed=first,
                sampling=sampling,
                negative=negative,
                on_step=on_step,
            )
        return [(str(path), f"seed {first + j}") for j, path in enumerate(paths)]

    return answer
