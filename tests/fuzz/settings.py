"""Settings drawn from the types of the dataclasses that commands and YAML files are read into."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import isabstract
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

import textok.config
from tests.fuzz.hostile import JUNK, NUMBERS, TEXTS
from textok.cli.main import COMMANDS
from textok.config.read import field_types
from textok.config.renamed import Renamed

RIGHT: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 300) | st.integers(0, 300).map(str),
    float: st.floats(0, 2) | st.sampled_from(["1e-4", "0", "1", ".5"]),
    bool: st.sampled_from([True, False, "yes", "off"]),
    str: st.sampled_from(["a", "minilm", "train", "a b", "x/y"]),
    Path: st.sampled_from(["a", "a/b.png", "x.json"]),
}
"""Values that a field of this type mostly takes."""


def every_settings() -> list[type[Any]]:
    """All dataclasses of textok.config, and what commands are told, by name."""
    found = {command.settings for command in COMMANDS.values()}
    for module in pkgutil.iter_modules(textok.config.__path__):
        loaded = importlib.import_module(f"textok.config.{module.name}")
        for one in vars(loaded).values():
            if not (isinstance(one, type) and is_dataclass(one)) or one is Renamed:
                continue  # a table of our own, which nobody writes
            if not isabstract(one):
                found.add(one)
    return sorted(found, key=lambda one: one.__name__)


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    """A value for a field of the type ``kind``, mostly a good one."""
    return st.one_of(right(kind), right(kind), JUNK, NUMBERS, TEXTS)


def right(kind: Any) -> st.SearchStrategy[Any]:
    """A value that a field of the type ``kind`` can have, if perhaps not this one."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*map(right, (arg for arg in args if arg is not NoneType)), st.none())
    if origin is Literal:
        return st.sampled_from(args)
    if origin is dict:
        return st.dictionaries(TEXTS, right(args[1]), max_size=3)
    if origin is tuple and args[-1] is not Ellipsis:
        return st.tuples(*map(right, args)).map(list)
    if origin in (tuple, list):
        return st.lists(right(args[0]), max_size=4)
    return settings_of(kind) if is_dataclass(kind) else RIGHT[kind]


@st.composite
def settings_of(draw: st.DrawFn, settings: type[Any]) -> dict[str, Any]:
    """A mapping for ``settings``: what is needed, and a few others, some of them hostile."""
    leaves = dict(_leaves(settings, (), needed=True))
    needed = [path for path, (_, must) in leaves.items() if must]
    mapping: dict[str, Any] = {}
    for path in needed:
        _put(mapping, path, draw(right(leaves[path][0])))
    for path in draw(st.lists(st.sampled_from(sorted(leaves)), max_size=5)) if leaves else []:
        _put(mapping, path, draw(value_of(leaves[path][0])))
    if draw(st.integers(0, 9)) == 0:
        mapping[draw(TEXTS)] = draw(JUNK)
    return mapping


def _leaves(
    settings: Any, above: tuple[str, ...], *, needed: bool
) -> Iterator[tuple[tuple[str, ...], tuple[Any, bool]]]:
    """Path, type, and whether a value is needed, of every setting and every group of them."""
    kinds = field_types(settings)
    for field in fields(settings):
        must = needed and field.default is MISSING and field.default_factory is MISSING
        kind, path = kinds[field.name], (*above, field.name)
        if is_dataclass(kind):
            yield from _leaves(kind, path, needed=must)
            if not must:
                yield path, (kind, False)
        else:
            yield path, (kind, must)


def _put(mapping: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        below = mapping.setdefault(name, {})
        if not isinstance(below, dict):  # a hostile value stands there already
            return
        mapping = below
    mapping[path[-1]] = value
