"""The options of a command, and the names by which a command line knows them.

A name is the option's path, `data.where`. Dots, dashes and underscores are the same, and the last
parts suffice where one option of the command alone ends so: `--where`, `--text-cache`, `--lr`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cached_property
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from textok.config.check import one_line, require
from textok.config.read import field_types
from textok.config.renamed import RENAMED, Renamed


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a command, or a group of settings that has names (``ViTConfig.named``)."""

    path: str
    kind: Any
    """Its type."""
    default: Any
    """MISSING where a value is needed."""
    owner: type
    """The dataclass that it stands in."""

    @property
    def is_switch(self) -> bool:
        return self.kind is bool

    @property
    def takes_several(self) -> bool:
        parts = (self.kind, *get_args(self.kind))
        return any(tuple in (get_origin(part), part) for part in parts)

    @property
    def is_needed(self) -> bool:
        """Whether the command cannot do without a value."""
        return self.default is MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        return choices_of(self.kind)

    @property
    def metavar(self) -> str:
        """As a positional word: DATA for ``data.path``, REPORTS... for several."""
        *groups, name = self.path.split(".")
        word = (groups[-1] if name == "path" and groups else name).upper()
        word = f"{word}..." if self.takes_several else word
        return word if self.default in (MISSING, "") else f"[{word}]"


def options_of(settings: type[Any]) -> dict[str, Option]:
    """The options of a command by path, without those that it says it leaves out."""
    left_out = getattr(settings, "WITHOUT", ())
    found = {option.path: option for option in _leaves(settings, MISSING, "")}
    return {path: option for path, option in found.items() if path not in left_out}


def _leaves(settings: type[Any], base: Any, prefix: str) -> Iterator[Option]:
    """``base`` is an instance with the defaults, where there is one."""
    kinds = field_types(settings)
    for field in fields(settings):
        path, kind = prefix + field.name, kinds[field.name]
        if base is not MISSING:
            default = getattr(base, field.name)
        elif callable(field.default_factory):
            default = field.default_factory()
        else:
            default = field.default
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _leaves(kind, default, f"{path}.")
        else:
            yield Option(path=path, kind=kind, default=default, owner=settings)


class Names:
    """What the options of a command are called on its command line."""

    def __init__(self, settings: type[Any]) -> None:
        self.options = options_of(settings)
        self.positional: tuple[str, ...] = getattr(settings, "POSITIONAL", ())
        self.aliases: dict[str, str] = getattr(settings, "ALIASES", {})
        self.renamed: tuple[Renamed, ...] = RENAMED.get(settings.__name__, ())
        self._groups = dict(_groups(settings, ""))
        self._exact = {_plain(path): path for path in (*self._groups, *self.options)}
        self._exact |= {_plain(name): path for name, path in self.aliases.items()}

    @cached_property
    def _short(self) -> dict[str, list[str]]:
        """The options that end so, by the last parts of their paths."""
        found = defaultdict(list)
        named = [path for path, kind in self._groups.items() if hasattr(kind, "named")]
        for path in (*self.options, *named):
            parts = path.split(".")
            for start in range(1, len(parts)):
                found[_plain(".".join(parts[start:]))].append(path)
        return found

    def short(self, path: str) -> str:
        """The shortest name of an option, with dashes; empty where its whole path is needed."""
        names = [name for name, target in self.aliases.items() if target == path]
        parts = path.split(".")
        names += [".".join(parts[start:]) for start in range(len(parts) - 1, 0, -1)]
        found = (name for name in names if self._paths(_plain(name)) == [path])
        return next(found, "").replace("_", "-").replace(".", "-")

    def find(self, flag: str, *, prog: str) -> tuple[Option, bool]:
        """The option of a ``--flag``, and whether it is a ``--no-flag`` that turns it off.

        Raises ValueError, one line, for a flag of no option (with the nearest) or of several.
        """
        name = _plain(flag)
        paths, off = self._paths(name), False
        if not paths and name.startswith("no_"):
            paths, off = self._paths(name.removeprefix("no_")), True
            paths = [
                path for path in paths if path in self.options and self.options[path].is_switch
            ]
        require(
            len(paths) < 2,
            f"{prog}: '{flag}' can be {' or '.join(f'--{path}' for path in paths)}: write more of "
            "its name",
        )
        if not paths:
            raise ValueError(one_line(f"{prog} has no option '{flag}': {self._hint(flag, prog)}"))
        (path,) = paths
        if path in self.options:
            return self.options[path], off
        group = Option(path=path, kind=self._groups[path], default=None, owner=object)
        return group, off

    def _paths(self, name: str) -> list[str]:
        return [self._exact[name]] if name in self._exact else self._short.get(name, [])

    def _hint(self, flag: str, prog: str) -> str:
        names = {path.replace("_", "-"): path for path in self.options}
        names |= {short: short for path in self.options if (short := self.short(path))}
        near = get_close_matches(flag.strip("-").replace("_", "-"), names, n=1)
        return f"did you mean '--{names[near[0]]}'?" if near else f"`{prog} --help` lists them"


def choices_of(kind: Any) -> tuple[str, ...]:
    """The words of a Literal, also where several or none can be given; () of any other type."""
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    inner = [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    return choices_of(inner[0]) if len(inner) == 1 else ()


def _groups(settings: type[Any], prefix: str) -> Iterator[tuple[str, type[Any]]]:
    for name, kind in field_types(settings).items():
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield prefix + name, kind
            yield from _groups(kind, f"{prefix}{name}.")


def _plain(name: str) -> str:
    """A name without the difference of dots, dashes and underscores."""
    return re.sub(r"[.\-]", "_", name.removeprefix("--"))
