"""A report names the command line that made it, and none where there was none."""

from __future__ import annotations

from textok.evaluate.protocol import command_line


def test_the_command_is_named_however_it_was_started() -> None:
    for program in ("/venv/bin/textok", "/site-packages/textok/cli/__main__.py"):
        assert command_line([program, "evaluate", "a b"], caller="f") == "textok evaluate 'a b'"
    assert command_line(["notebook.py", "x"], caller="f") == "none: f was called from Python"
