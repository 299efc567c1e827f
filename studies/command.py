"""Command lines of studies and benchmarks: bad input is one line on stderr and exit code 2."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial, wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import tyro

from textok.cli.mistakes import told_of_mistake

P = ParamSpec("P")
R = TypeVar("R")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def refuse(what: str, *, name: str = "") -> NoReturn:
    """End with one line on stderr and exit code 2; ``name`` is the command's."""
    print(f"{name}: error: {what}" if name else f"error: {what}", file=sys.stderr)
    raise SystemExit(2)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """``refuse`` what `textok` takes for a user's mistake; other errors are raised.

    TEXTOK_TRACEBACK=1 in the environment shows where a line comes from, as it does of `textok`.
    """
    try:
        yield
    except Exception as error:
        told = told_of_mistake(error)
        if told is None or os.environ.get("TEXTOK_TRACEBACK"):
            raise
        refuse(told, name=name)


def as_command(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose mistakes of the user's are refused by the ``name`` of its command."""

    def refused(main: Callable[P, R]) -> Callable[P, R]:
        @wraps(main)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with refusing(name):
                return main(*args, **kwargs)

        return run

    return refused


def run_command(
    main: Callable[..., Any],
    name: str,
    *,
    settings: type[Any] | None = None,
    description: str | None = None,
) -> None:
    """Run ``main`` by the words of this process's command line; ``name`` is that of its module.

    The words are the ``settings`` that it takes, or, without these, its parameters.
    """

    @wraps(main)
    def bound(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return partial(main, *args, **kwargs)

    prog = f"python -m {name}"
    with refusing(name.rpartition(".")[2]):
        if settings is not None:
            main(read_arguments(settings, None, prog=prog))
        else:
            read_arguments(bound, None, prog=prog, description=description)()


def read_arguments(
    what: Callable[..., R],
    arguments: Sequence[str] | None,
    *,
    prog: str,
    description: str | None = None,
) -> R:
    """``what`` a command line asks for: settings, or what a function of its words returns.

    Raises ValueError, one line in place of tyro's box, for a bad one.
    """
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            return tyro.cli(what, args=arguments, prog=prog, description=description)
    except SystemExit as end:
        if not end.code:
            raise
        first = _first_part(told.getvalue()).removeprefix(f"Error parsing {what.__name__}: ")
        raise ValueError(f"{first} (`{prog} --help`)") from None


def _first_part(box: str) -> str:
    """What tyro's box says first, below its title and above the next rule, without its frame."""
    lines = [line.strip("│ ") for line in COLOUR.sub("", box).splitlines()[1:]]
    lines = lines[1:] if lines and not lines[0].strip("-") else lines
    inner = (at for at, line in enumerate(lines) if line and not line.strip("─-"))
    return " ".join(" ".join(lines[: next(inner, len(lines))]).split())
