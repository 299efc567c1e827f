"""What `textok COMMAND --help` prints: the options with their defaults, from the dataclass."""

from __future__ import annotations

import ast
import inspect
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, is_dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, get_args

from textok.cli.options import Names, Option, options_of

INDENT = 4
RULE = (
    "A flag is an option's path; dots, dashes and underscores are the same, and the last part "
    "suffices where one option alone ends so. --config FILE.yaml ... reads settings from files."
)


def help_text(
    settings: type[Any], about: str, *, prog: str, words: str = "", base: Any = MISSING
) -> str:
    """The page of a command.

    ``about`` says what it does, with an example. ``words`` stand for positional words that are no
    options. ``base`` is an instance whose values are shown as defaults, where there is one.
    """
    names = Names(settings)
    width = min(100, shutil.get_terminal_size().columns)
    places = [names.options[path] for path in names.positional]
    needed = [d for path, d in names.options.items() if d.is_needed and d not in places]
    usage = [prog, words, *(option.metavar for option in places)]
    usage += [f"--{names.short(option.path) or option.path} {_kind(option)}" for option in needed]
    flags = "[--name value ...]" if names.options else "[--help]"
    lines = [f"usage: {' '.join(filter(None, usage))} {flags}", "", about, ""]
    for option in places:
        lines += _entry(option.metavar, _about(option), width)
    options = [option for option in names.options.values() if option not in places]
    values = {} if base is MISSING else dict(_values(base))
    options.sort(key=lambda option: "." in option.path)  # the command's own first
    for group, members in groupby(options, key=lambda option: option.path.rpartition(".")[0]):
        lines += ["", f"{group or 'options'}:"]
        for option in members:
            value = option.default if base is MISSING else values[option.path]
            lines += _entry(_flags(option, names), _about(option, value), width)
    lines += ["", textwrap.fill(RULE, width)] if names.options else []
    return "\n".join(lines)


def _flags(option: Option, names: Names) -> str:
    """As in ``--data.where, --where TEXT``."""
    path, short = f"--{option.path}", names.short(option.path)
    if "." not in option.path:
        path = path.replace("_", "-")
    given = ", ".join([path, *([f"--{short}"] if short else [])])
    return given if option.is_switch else f"{given} {_kind(option)}"


def _kind(option: Option) -> str:
    """What follows the flag."""
    if option.choices:
        word = "{" + ",".join(option.choices) + "}"
    else:
        kinds = [part for part in (option.kind, *get_args(option.kind)) if part in _KINDS]
        inner = [part for outer in get_args(option.kind) for part in get_args(outer)]
        kinds += [part for part in inner if part in _KINDS]
        word = _KINDS[kinds[0]] if kinds else "VALUE"
    return f"{word}..." if option.takes_several else word


_KINDS: dict[Any, str] = {str: "TEXT", int: "INT", float: "NUMBER", Path: "PATH"}


def _about(option: Option, value: object = None) -> str:
    """The docstring of the option's field, and the value that it has."""
    told = docs_of(option.owner).get(option.path.rpartition(".")[2], "")
    if value is MISSING:
        return f"{told} (needed)"
    if value in (None, "", ()):
        return told
    if isinstance(value, bool):
        return f"{told} ({'on' if value else 'off'})"
    words = map(str, value) if isinstance(value, tuple) else [str(value)]
    return f"{told} ({' '.join(words)})"


def _entry(left: str, right: str, width: int) -> list[str]:
    pad = " " * (2 * INDENT)
    text = textwrap.wrap(right, width, initial_indent=pad, subsequent_indent=pad)
    return [f"{' ' * INDENT}{left}", *text]


@cache
def docs_of(settings: type[Any]) -> dict[str, str]:
    """The docstrings below the fields of a dataclass, in one line each."""
    found: dict[str, str] = {}
    for owner in reversed(settings.__mro__):
        if not is_dataclass(owner):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(tree, ast.ClassDef)
        for node, after in pairwise(tree.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                match after:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[node.target.id] = " ".join(text.replace("``", "").split())
    return found


def _values(base: Any) -> Iterator[tuple[str, object]]:
    """The values of an instance, by path."""
    for path in options_of(type(base)):
        value = base
        for name in path.split("."):
            value = getattr(value, name)
        yield path, value
