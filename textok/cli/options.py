"""Which options a command takes, and its words read with mistakes told in one line."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from itertools import dropwhile, takewhile
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from textok.config.check import require

Command = Callable[..., None]
Options = dict[str, tuple[str, ...] | None]
"""What each option can be followed by: one of some words, any word (), or none (None)."""


def options_of(command: Command) -> Options:
    """Every ``--option`` of a typed function."""
    hints = get_type_hints(command, include_extras=True)
    found: Options = {"--help": None}
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        hint, others = hints[name], ()
        if get_origin(hint) is Annotated:
            hint, told = get_args(hint)
            name, others = told.name or name, told.aliases or ()
        word = name.replace("_", "-")
        if is_dataclass(hint):  # its fields are options themselves
            assert isinstance(hint, type)
            inner = options_of_settings(hint)
            found |= {option.replace("_", "-"): words for option, words in inner.items()}
        elif hint is bool:
            found |= {f"--{word}": None, f"--no-{word}": None}
        else:
            found |= dict.fromkeys([f"--{word}", *others], choices_of(hint))
    return found


def options_of_settings(settings: type[Any], prefix: str = "--") -> Options:
    """Every ``--group.name`` of a dataclass of settings."""
    hints = get_type_hints(settings)
    found: Options = {"--help": None}
    for field in fields(settings):
        kind = hints[field.name]
        if is_dataclass(kind):
            assert isinstance(kind, type)
            found |= options_of_settings(kind, f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = ("true", "false") if kind is bool else choices_of(kind)
    return found


def read_words(command: Command, words: Sequence[str], *, prog: str) -> Callable[[], None]:
    """What is left to do once the words are read: the command with its options.

    Raises ValueError, one line, for an option that there is not (with the nearest that there is),
    for a value that cannot be and for one that is missing. Raises SystemExit after showing help.
    """
    check_options(options_of(command), words, prog=prog)

    @functools.wraps(command)
    def given(*values: object, **options: object) -> Callable[[], None]:
        return functools.partial(command, *values, **options)

    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            run = tyro.cli(given, prog=prog, args=words, config=(tyro.conf.DisallowNone,))
    except SystemExit as end:
        if end.code:
            raise ValueError(f"{_told(box.getvalue())} (`{prog} --help`)") from None
        raise
    assert callable(run)
    return run


def check_options(options: Options, words: Sequence[str], *, prog: str) -> None:
    """Raise ValueError for an unknown option, and for a word that an option cannot be followed by.

    Underscores may stand for dashes.
    """
    for place, word in enumerate(words):
        if not word.startswith("--"):
            continue
        flag, equals, value = word.partition("=")
        name = flag.replace("_", "-")
        near = get_close_matches(name.strip("-"), [option.strip("-") for option in options], n=1)
        hint = f"did you mean '--{near[0]}'?" if near else f"`{prog} --help` lists them"
        require(name in options, f"{prog} has no option '{flag}': {hint}")
        if not equals:
            value = "".join(words[place + 1 : place + 2])
        choices = options[name] or ()
        one_of = " or ".join([", ".join(choices[:-1]), *choices[-1:]])
        require(not choices or value in choices, f"{flag} {value!r}: choose {one_of}")


def choices_of(hint: Any) -> tuple[str, ...]:
    """The words of a Literal, also where several or none can be given; () of any other type."""
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    inner = [part for part in get_args(hint) if part not in (NoneType, Ellipsis)]
    return choices_of(inner[0]) if len(inner) == 1 else ()


PLAINER = (
    (r"Error parsing (\S+): no type matching INT .*\['(.*)'\]\.?", r"\1 '\2': give a whole number"),
    (r"Error parsing (\S+): no type matching FLOAT .*\['(.*)'\]\.?", r"\1 '\2': give a number"),
    (r"Missing value for argument '(\S+)'.*", r"\1: a value is missing after it"),
)
"""What tyro says, and how textok says it."""


def _told(box: str) -> str:
    """The message of one of tyro's boxes, without its frame, advice and quotations of help."""
    lines = [line.strip("│") for line in box.splitlines()[1:]]
    message = takewhile(_has_words, dropwhile(lambda line: not _has_words(line), lines))
    told = " ".join(" ".join(line for line in message if not line.startswith(" " * 9)).split())
    for said, plain in PLAINER:
        told = re.sub(said, plain, told)
    return told


def _has_words(line: str) -> bool:
    return bool(set(line) - set(" ─-"))
