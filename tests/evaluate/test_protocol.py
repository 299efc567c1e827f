"""A report names the command line that made it, and none where there was none."""

from __future__ import annotations

from textok.evaluate.protocol import _command


def test_the_command_is_named_however_it_was_started() -> None:
    for program in ("/venv/bin/textok", "/site-packages/textok/cli/__main__.py"):
        assert _command([program, "evaluate", "a b"]) == "textok evaluate 'a b'"
    assert _command(["notebook.py", "x"]).startswith("none: ")
