"""Words of a command line as settings: files, positional words and flags, read like YAML."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from textok.cli.options import Names, Option
from textok.config.check import require
from textok.config.read import build, merge, read_yaml
from textok.config.renamed import with_new_names

Settings = TypeVar("Settings")

FLAG = re.compile(r"--[A-Za-z][\w.\-]*(=.*)?", re.DOTALL)
SHORT_FLAG = re.compile(r"-[A-Za-z]\S*")
SWITCHED = ("true", "false", "yes", "no", "on", "off")
"""Words that a switch takes; any other one after it is not its own."""
CONFIG = "config"
"""The flag of files of settings, which every command takes."""


@dataclass(kw_only=True)
class Words:
    """What a command line says, before any value is judged."""

    loose: list[str] = field(default_factory=list)
    """Words that belong to no flag."""
    flags: dict[str, object] = field(default_factory=dict)
    """What the flags say, as a nested mapping of texts."""
    files: list[Path] = field(default_factory=list)
    """Of ``--config``."""


def read_words(settings: type[Settings], words: Sequence[str], *, prog: str) -> Settings:
    """The settings that a command line asks for: files left to right, words, flags last.

    Raises ValueError, one line, for anything that does not fit.
    """
    names = Names(settings)
    split = split_words(names, words, prog=prog)
    mapping = from_files(settings, split.files)
    mapping = merge(mapping, _placed(names, split, prog=prog))
    return finish(settings, names, merge(mapping, split.flags), prog=prog)


def finish(
    settings: type[Settings], names: Names, mapping: dict[str, object], *, prog: str
) -> Settings:
    """The settings, once nothing is missing and nothing is said that the command leaves out."""
    for path in getattr(settings, "WITHOUT", ()):
        unused = f"{path} has no effect in `{prog}`: leave it out"
        require(not _has(mapping, path), unused)
    needed = [path for path, option in names.options.items() if option.is_needed]
    places = [p for p in names.positional if p in needed or names.options[p].default == ""]
    lacks = [names.options[path].metavar for path in places if not _has(mapping, path)]
    lacks += [
        f"--{names.short(path) or path}"
        for path in needed
        if path not in places and not _has(mapping, path)
    ]
    require(not lacks, f"Missing from {prog}: {' '.join(lacks)} (`{prog} --help`)")
    return build(settings, mapping)


def from_files(settings: type[Any], files: Sequence[Path]) -> dict[str, object]:
    """Files of settings merged left to right."""
    merged: dict[str, object] = {}
    for file in files:
        merged = merge(merged, with_new_names(settings, read_yaml(file)))
    return merged


def split_words(names: Names, words: Sequence[str], *, prog: str) -> Words:
    """Flags with what they take, and all other words.

    A switch takes a following word that is true or false, a tuple all words up to the next flag,
    any other option one. After ``--`` there are no flags.
    """
    found, queue = Words(), list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            found.loose += queue
            break
        if not FLAG.fullmatch(word):
            wrong = f"'{word}' is not a flag: write --name value"
            require(not SHORT_FLAG.fullmatch(word), wrong)
            found.loose.append(word)
            continue
        flag, equals, value = word.partition("=")
        given = [value] if equals else None
        if flag == f"--{CONFIG}":
            found.files += map(Path, given or _several(queue))
            continue
        flag = _new_name(names, flag, given or queue[:1])
        option, off = names.find(flag, prog=prog)
        taken = "false" if off else _value(option, flag, given, queue, prog=prog)
        found.flags = merge(found.flags, _nested(option.path, taken))
    return found


def _value(
    option: Option, flag: str, given: list[str] | None, queue: list[str], *, prog: str
) -> object:
    """What a flag takes off the queue; ``given`` stood behind its ``=``."""
    if option.takes_several:
        several = given or _several(queue)
        return several[0] if len(several) == 1 else several
    if given is not None:
        return given[0]
    if option.is_switch:
        return queue.pop(0) if queue and queue[0].lower() in SWITCHED else "true"
    missing = f"{flag}: a value is missing after it (`{prog} --help`)"
    require(bool(queue) and not FLAG.fullmatch(queue[0]), missing)
    return queue.pop(0)


def _several(queue: list[str]) -> list[str]:
    taken: list[str] = []
    while queue and not FLAG.fullmatch(queue[0]):
        taken.append(queue.pop(0))
    return taken


def _new_name(names: Names, flag: str, following: list[str]) -> str:
    """The flag of today for one of before, with a note on stderr where that will go."""
    for entry in names.renamed:
        if flag.removeprefix("--").replace("-", "_") != entry.old:
            continue
        if entry.values and following[:1] not in ([value] for value in entry.values):
            continue
        if entry.until:
            new, old = entry.new.replace("_", "-"), entry.old.replace("_", "-")
            note = f"--{old} is now --{new}; the old name goes with textok {entry.until}"
            print(f"textok: note: {note}", file=sys.stderr)
        return f"--{entry.new}"
    return flag


def _placed(names: Names, split: Words, *, prog: str) -> dict[str, object]:
    """The loose words as values of the positional options, in their order."""
    placed: dict[str, object] = {}
    left = list(split.loose)
    for path in names.positional:
        if not left or _has(split.flags, path):
            continue
        several = names.options[path].takes_several
        value: object = left if several else left[0]
        left = [] if several else left[1:]
        placed = merge(placed, _nested(path, value))
    require(not left, f"Unrecognized options: {' '.join(left)} (`{prog} --help`)")
    return placed


def _nested(path: str, value: object) -> dict[str, object]:
    *groups, name = path.split(".")
    nested: dict[str, object] = {name: value}
    for group in reversed(groups):
        nested = {group: nested}
    return nested


def _has(mapping: object, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(mapping, dict) or name not in mapping:
            return False
        mapping = mapping[name]
    return True
