"""The tabs that keep one thing and change another: tokens, captions, steps and guidance."""

from __future__ import annotations

from typing import get_args

import gradio as gr
from PIL import Image

from textok.config.check import require
from textok.demo import figures
from textok.demo.explore import Reading, interpolate, sampling_grid, swap
from textok.demo.limits import (
    BETWEEN,
    CHARACTERS,
    GUIDANCE,
    STEPS,
    checked_choice,
    checked_list,
    checked_text,
    checked_whole,
    read_picture,
)
from textok.demo.page.chooser import Chooser, Samples, Upload, chooser, chosen_picture
from textok.demo.page.lane import LANE, Stop
from textok.demo.page.sampling import (
    checked_prompt,
    checked_sampling,
    checked_seed,
    prompt_field,
    seed_field,
)
from textok.demo.page.say import spoken
from textok.demo.studio import Studio

Pair = tuple[list[Image.Image], list[str]]
"""Two images and their captions."""

SWAP = (
    "Tokens hold what the caption does not say. Along a row the tokens stay and the caption "
    "changes; down a column the caption stays and the tokens change."
)
SWAP_FEW = " One token is kept of each picture; the line below has all."
NO_SWAP = "The decoder of {name} reads no caption, so there is none to swap."
LINE = "Between the tokens of picture 1 and those of picture 2, on a straight line:"
NO_LINE = "The tokens of {name} are codes out of a list: there is nothing between two of them."
GRID = "One {what} from the same noise: more steps down, more guidance to the right."
NO_GRID = "{name} is a tokenizer without a generator: it takes no steps."
FIRST = (0, 3)
"""Samples that the two images start as."""
COUNT = 7


def swap_tab(studio: Studio, samples: Samples) -> None:
    """Two images, their tokens and captions exchanged, and what lies between them."""
    swaps, line = studio.config.decoder_reads_text, not studio.config.codebook_size
    lead = SWAP + (SWAP_FEW if studio.config.nested else "")
    gr.Markdown(lead if swaps else NO_SWAP.format(name=studio.name), elem_classes="lead")
    two = []
    if swaps or line:
        with gr.Row():
            for place, first in enumerate(FIRST, start=1):
                with gr.Column(min_width=280):
                    label = f"Picture {place}"
                    two.append(chooser(label, samples, first=first, reads_text=studio.reads_text))
    start = _start(studio, samples)
    if swaps:
        _swap_part(studio, two, start)
    if line:
        _line_part(studio, two, start)
    else:
        gr.Markdown(NO_LINE.format(name=studio.name), elem_classes="lead")


def _swap_part(studio: Studio, two: list[Chooser], start: Pair) -> None:
    few = 1 if studio.config.nested else None

    def answer(one: Upload, its: object, other: Upload, others: object, own: object = "") -> str:
        pictures, captions = _pair(studio, one, its, other, others)
        told = checked_text(own, "caption of your own")
        found = swap(studio, pictures, captions, told, num_tokens=few)
        return figures.grid(found)

    own = gr.Textbox(
        label="A caption of your own for both",
        placeholder="red women handbag",
        max_length=CHARACTERS,
    )
    go = gr.Button("Swap", variant="primary")
    shown = gr.HTML(figures.grid(swap(studio, *start, num_tokens=few)), elem_id="swapped")
    gr.on(
        [go.click, own.submit], spoken(answer), [*_inputs(two), own], shown, api_name="swap", **LANE
    )


def _line_part(studio: Studio, two: list[Chooser], start: Pair) -> None:
    def answer(
        one: Upload, its: object, other: Upload, others: object, reading: object, count: object
    ) -> str:
        pictures, captions = _pair(studio, one, its, other, others)
        found = interpolate(
            studio,
            pictures,
            captions,
            count=checked_whole(count, "pictures", 2, BETWEEN),
            reading=checked_choice(reading, "caption", readings),
        )
        return figures.strip(found)

    readings: tuple[Reading, ...] = get_args(Reading)
    gr.Markdown(LINE, elem_classes="lead")
    with gr.Row():
        reading = gr.Radio(
            readings,
            value=readings[0],
            label="The caption that is read",
            visible=studio.config.decoder_reads_text,
        )
        count = gr.Slider(2, BETWEEN, COUNT, step=1, label="Pictures")
    go = gr.Button("Interpolate", variant="primary")
    shown = gr.HTML(figures.strip(interpolate(studio, *start, count=COUNT)), elem_id="between")
    gr.on(
        [go.click, reading.input, count.release],
        spoken(answer),
        [*_inputs(two), reading, count],
        shown,
        api_name="interpolate",
        **LANE,
    )


def grid_tab(studio: Studio, stop: Stop) -> None:
    """The same prompt, or class, at several numbers of steps and guidance scales."""
    if studio.pipe is None:
        gr.Markdown(NO_GRID.format(name=studio.name), elem_classes="lead")
        return

    def answer(
        prompt: object,
        steps: object,
        guidance: object,
        seed: object,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio looks for it here
    ) -> str:
        text = checked_prompt(prompt, studio)
        rows = checked_list(steps, "steps", 1, STEPS)
        require(all(row == int(row) for row in rows), "steps: give whole numbers, as in 2, 4, 8")
        columns = checked_list(guidance, "guidance", 0, GUIDANCE)
        total = int(sum(rows)) * len(columns)

        def show(done: int) -> None:
            progress((done, total), desc="drawing", unit="steps")

        with stop.watched(request, show) as on_step:
            found = sampling_grid(
                studio,
                text,
                steps=[int(row) for row in rows],
                guidance=columns,
                seed=checked_seed(seed),
                sampling=checked_sampling(studio),
                on_step=on_step,
            )
        return figures.grid(found)

    what = "class" if studio.draws_classes else "prompt"
    gr.Markdown(GRID.format(what=what), elem_classes="lead")
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            prompt = prompt_field(studio)
            steps = gr.Textbox("2, 4, 8, 16", label="Steps", max_length=CHARACTERS)
            guidance = gr.Textbox(
                ", ".join(f"{scale:g}" for scale in _scales(studio)),
                label="Guidance",
                max_length=CHARACTERS,
            )
            seed = seed_field()
            with gr.Row():
                go = gr.Button("Draw the grid", variant="primary", scale=3)
                halt = gr.Button("Stop", scale=1, min_width=80)
        with gr.Column(scale=5, min_width=300):
            shown = gr.HTML(elem_id="grid")
    inputs = [prompt, steps, guidance, seed]
    go.click(spoken(answer), inputs, shown, api_name="grid", **LANE)
    halt.click(stop.ask, api_visibility="private")


def _scales(studio: Studio) -> list[float]:
    """Scales of guidance to begin with."""
    least, most = studio.guidance
    return [scale for scale in (1.0, 2.0, 4.0, 8.0) if least <= scale <= most] or [least]


def _inputs(two: list[Chooser]) -> list[gr.components.Component]:
    return [field for one in two for field in (one.picture, one.caption)]


def _pair(studio: Studio, one: Upload, its: object, other: Upload, others: object) -> Pair:
    """The images and captions of the fields. Raises ValueError naming the field."""
    pictures = [chosen_picture(upload, size=studio.config.image_size) for upload in (one, other)]
    texts = [(its, "caption of picture 1"), (others, "caption of picture 2")]
    return pictures, [checked_text(text, what) for text, what in texts]


def _start(studio: Studio, samples: Samples) -> Pair:
    size = studio.config.image_size
    pictures = [read_picture(samples.paths[place], size=size)[0] for place in FIRST]
    return pictures, [samples.captions[place] for place in FIRST]
