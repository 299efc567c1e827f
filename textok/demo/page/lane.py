"""How the page's requests wait, and how one that takes long is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from textok.config.check import require
from textok.demo.draw import OnStep

LANE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "preprocess": False}
"""Of every event that asks the model: one at a time. Gradio opens and checks no input: ``limits``
does."""
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of events that only fill in fields."""


class Stop:
    """Ends a visitor's sampling at its next step, on request or when the page is closed."""

    def __init__(self) -> None:
        self._drawing: set[str | None] = set()

    def ask(self, request: gr.Request) -> None:
        """The sampling of this visitor, if there is one, is not wanted any longer."""
        self._drawing.discard(request.session_hash)

    @contextmanager
    def watched(self, request: gr.Request, progress: Callable[[int], None]) -> Iterator[OnStep]:
        """A function to be told of each step, which raises ValueError once a stop is requested."""
        visitor = request.session_hash
        self._drawing.add(visitor)

        def step(done: int) -> None:
            require(visitor in self._drawing, "stopped")
            progress(done)

        try:
            yield step
        finally:
            self._drawing.discard(visitor)
