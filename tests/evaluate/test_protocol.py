"""A report names the command line that made it, and none where there was none."""

from __future__ import annotations

import pytest

from textok.config import DataConfig
from textok.evaluate.protocol import command_line, describe_crop


def test_the_command_is_named_however_it_was_started() -> None:
    for program in ("/venv/bin/textok", "/site-packages/textok/cli/__main__.py"):
        assert command_line([program, "evaluate", "a b"], caller="f") == "textok evaluate 'a b'"
    assert command_line(["notebook.py", "x"], caller="f") == "none: f was called from Python"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "shorter side to 64 px (Lanczos), central square"),
        (
            {"resize": "adm"},
            "halved by box averages, shorter side to 64 px (bicubic, as ADM), central square",
        ),
        ({"fit": "pad"}, "filled up with white to a square, shorter side to 64 px (Lanczos)"),
    ],
)
def test_how_pictures_became_squares(settings: dict[str, str], words: str) -> None:
    assert describe_crop(DataConfig(**settings), 64) == words  # type: ignore[arg-type]
