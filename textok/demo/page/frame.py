"""The whole page: what it is in a line, and its tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from textok.demo.limits import KEPT_SECONDS, WAITING
from textok.demo.page.chooser import Samples
from textok.demo.page.explore import grid_tab, swap_tab
from textok.demo.page.generate import generate_tab
from textok.demo.page.lane import Stop
from textok.demo.page.reconstruct import reconstruct_tab
from textok.demo.samples import sample_pictures
from textok.demo.studio import Studio

SAMPLES = 12
HEAD = """# textok
A caption already says what is in a picture. Give it to the tokenizer, and a handful of tokens is \
enough for the rest."""


def build_page(studio: Studio, folder: Path) -> gr.Blocks:
    """The page of ``studio``; generated files go into ``folder`` and are deleted in time."""
    paths, captions = sample_pictures(SAMPLES)
    samples = Samples(paths=paths, captions=captions)
    stop = Stop()
    often = max(1, KEPT_SECONDS // 3)
    with gr.Blocks(
        title=f"textok: {Path(studio.name).name}",
        analytics_enabled=False,
        delete_cache=(often, KEPT_SECONDS),
    ) as page:
        gr.Markdown(HEAD, elem_classes="lead")
        size = f"{studio.config.image_size} x {studio.config.image_size} pixels"
        gr.Markdown(f"`{studio.name}`: {size} as {studio.tokens()}.", elem_classes="quiet")
        with gr.Tab("Reconstruct"):
            reconstruct_tab(studio, samples)
        with gr.Tab("Generate"):
            generate_tab(studio, folder, stop)
        with gr.Tab("Explore"):
            with gr.Tab("Two pictures"):
                swap_tab(studio, samples)
            with gr.Tab("Steps and guidance"):
                grid_tab(studio, stop)
        page.unload(stop.ask)
    return page.queue(max_size=WAITING, default_concurrency_limit=8, api_open=False)
