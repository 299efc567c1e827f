"""Strict YAML into frozen dataclasses and back: the type of a field decides how a scalar is read.

PyYAML on its own reads ``1e-4`` as a string and ``on`` as True; here every scalar stays text until
the field it belongs to is known.
"""

from __future__ import annotations

import math
import reprlib
import stat
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from textok.config.check import naming, one_line, require
from textok.config.renamed import with_new_names

Config = TypeVar("Config")

MOST_SHOWN = 200
"""Characters of a value in a message."""
MOST_BYTES = 4_000_000
"""Of a settings file."""
MOST_CHARACTERS = 100_000
"""Of one setting."""
MOST_ITEMS = 1_000_000
"""Of a list."""
_FIELD_TYPES: dict[type[Any], Mapping[str, Any]] = {}
"""Of the classes that were asked for: each annotation, a text, is compiled to be read."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = MOST_SHOWN
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 10
_SHORT.maxlevel = 3


def load_config(
    cls: type[Config], paths: Sequence[Path], overrides: Mapping[str, object] | None = None
) -> Config:
    """Merge YAML files left to right, ``overrides`` last, and build ``cls`` from the result.

    Raises ValueError, one line, for a file that is not YAML, a key that is not a field (with the
    nearest name) and a value that its field cannot take; FileNotFoundError for a missing file.
    """
    merged: Mapping[str, object] = {}
    for path in paths:
        with naming(path):
            merged = merge(merged, with_new_names(cls, read_yaml(path)))
    with naming(", ".join(map(str, paths))):
        return build(cls, merge(merged, overrides or {}))


def to_yaml(config: object) -> str:
    """Write every setting of a dataclass; ``load_config`` reads the same dataclass back."""
    assert is_dataclass(config) and not isinstance(config, type)
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def merge(base: Mapping[str, object], top: Mapping[str, object]) -> dict[str, object]:
    """Lay ``top`` over ``base``, mapping by mapping; anything else is replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def build(cls: type[Config], mapping: Mapping[str, object], where: str = "") -> Config:
    """Build the dataclass ``cls`` from text or plain values; ``where`` is its path in messages."""
    hints = field_types(cls)
    mapping = with_new_names(cls, dict(_mapping(mapping, where or "the settings")))
    prefix = f"{where}." if where else ""
    for key in mapping:
        if key not in hints:  # a suggestion takes longer than the whole reading
            near = _suggestion(key, list(hints))
            raise ValueError(one_line(f"{prefix}{key[:100]}: no such field; {near}"))
    assert is_dataclass(cls)
    for name in _needed(cls):
        require(name in mapping, f"{prefix}{name}: a value is needed")
    for field in fields(cls):
        if field.name in mapping:
            mapping[field.name] = _over_default(field, mapping[field.name])
    values = {key: _read(hints[key], value, prefix + key) for key, value in mapping.items()}
    try:
        return cls(**values)
    except OverflowError as error:
        raise ValueError(
            f"{where or 'the settings'}: a number is far too large ({error})"
        ) from None


def _over_default(group: Field[Any], value: object) -> object:
    """A group's ``value`` over what its default has otherwise than the group's own class.

    So one setting of a group leaves the others as the help shows them.
    """
    default = None if group.default_factory is MISSING else group.default_factory()
    if not isinstance(value, Mapping) or not is_dataclass(default) or _needed(default):
        return value
    assert not isinstance(default, type)
    usual = type(default)()
    own = {one.name: getattr(default, one.name) for one in fields(default)}
    return merge({k: v for k, v in own.items() if v != getattr(usual, k)}, value)


def _needed(settings: Any) -> list[str]:
    """The fields of a dataclass that have no default."""
    return [
        one.name
        for one in fields(settings)
        if one.default is MISSING and one.default_factory is MISSING
    ]


def build_part(cls: type[Config], mapping: Mapping[str, object], file: Path, part: str) -> Config:
    """Build ``cls`` from the ``part`` of a file; every message names the file."""
    with naming(file):
        return build(cls, mapping, where=f"{file}: {part}" if part else str(file))


def field_types(cls: type[Any]) -> Mapping[str, Any]:
    """The fields of a dataclass and their types."""
    if cls not in _FIELD_TYPES:
        hints = get_type_hints(cls)
        found = {field.name: hints[field.name] for field in fields(cls)}
        _FIELD_TYPES[cls] = MappingProxyType(found)
    return _FIELD_TYPES[cls]


def read_yaml(path: Path) -> dict[str, object]:
    """Read one file as a mapping whose scalars are all text. Raises ValueError with its line."""
    _check_file(path)
    try:
        content = yaml.load(path.read_bytes(), Loader=_TextLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ValueError(f"{at}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not a YAML text: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply for settings") from None
    require(
        content in (None, "") or isinstance(content, dict), f"{path}: not a mapping of settings"
    )
    return content or {}


def _check_file(path: Path) -> None:
    """Refuse what is no settings file: reading a pipe or a device may never end."""
    found = path.stat()
    require(stat.S_ISREG(found.st_mode), f"{path}: no file but a folder, pipe or device")
    require(
        found.st_size <= MOST_BYTES,
        f"{path}: {found.st_size / 1e6:,.0f} MB, settings have at most {MOST_BYTES / 1e6:,.0f} MB",
    )


class _TextLoader(yaml.BaseLoader):
    """Leaves every scalar as text and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "the name of a setting is a list or a mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.value in seen:
                problem = f"'{key.value}' is set twice in one mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _read(kind: Any, value: object, where: str) -> object:
    """Read ``value`` as ``kind``, one of the types that a setting can have."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value in (None, "", "~", "null", "None"):  # the last is what the help shows
            return None
        (inner,) = (arg for arg in args if arg is not NoneType)
        return _read(inner, value, where)
    if origin is Literal:
        chosen = [choice for choice in args if str(choice) == str(value)]
        require(bool(chosen), f"{where}: {_shown(value)} is not one of {', '.join(map(str, args))}")
        return chosen[0]
    if is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if origin is dict:
        return {key: _read(args[1], item, f"{where}.{key}") for key, item in _mapping(value, where)}
    if origin in (tuple, list):
        return _read_sequence(origin, args, value, where)
    return _read_scalar(kind, value, where)


def _read_dataclass(kind: Any, value: object, where: str) -> object:
    """Read a mapping, or a name where the class has names (``ViTConfig.named``)."""
    if isinstance(value, str) and hasattr(kind, "named"):
        return kind.named(value)
    return build(kind, dict(_mapping(value, where)), where)


def _read_sequence(
    origin: type[Any], args: tuple[Any, ...], value: object, where: str
) -> list[object] | tuple[object, ...]:
    """Read ``list[X]``, ``tuple[X, ...]`` or ``tuple[X, Y]``."""
    if isinstance(value, str) and origin is tuple and args[-1] is Ellipsis:
        value = [value]  # a flag with one word is a list of one
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where}: {_shown(value)} is not a list")
    require(len(value) <= MOST_ITEMS, f"{where}: has {len(value):,} values, too many")
    repeated = origin is list or args[-1] is Ellipsis
    kinds = [args[0]] * len(value) if repeated else list(args)
    require(len(kinds) == len(value), f"{where}: has {len(value)} values, it takes {len(kinds)}")
    items = zip(kinds, value, strict=True)
    read = [_read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(items)]
    return read if origin is list else tuple(read)


def _mapping(value: object, where: str) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {_shown(value)} is not a mapping of settings")
    return list(value.items())


def _read_scalar(kind: type[object], value: object, where: str) -> object:
    noun, parse = _SCALARS[kind]
    try:
        require(isinstance(value, (str, int, float, Path)), "a container or nothing at all")
        text = str(value)
        require(len(text) <= MOST_CHARACTERS, "too long")
        return parse(text)
    except ValueError:
        raise ValueError(f"{where}: {_shown(value)} is not {noun}") from None


def _whole(text: str) -> int:
    number = int(text)
    require(-(2**63) <= number < 2**63, "more than 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    require(math.isfinite(number), "neither infinite nor NaN")
    return number


def _switch(text: str) -> bool:
    on = text.lower() in ("true", "yes", "on")
    require(on or text.lower() in ("false", "no", "off"), "neither on nor off")
    return on


_SCALARS: dict[type[object], tuple[str, Callable[[str], object]]] = {
    str: ("a text", str),
    int: ("a whole number", _whole),
    float: ("a number", _finite),
    bool: ("true or false", _switch),
    Path: ("a path", Path),
}


def _shown(value: object) -> str:
    """``value`` in a message, shortened: it may be anything."""
    try:
        return _SHORT.repr(value)
    except (RecursionError, ValueError):
        return "this"


def _suggestion(key: str, names: list[str]) -> str:
    near = get_close_matches(key, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there is {', '.join(names)}"
