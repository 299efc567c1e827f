"""The image files below a folder, found by what a table calls them."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from textok.data.folder import is_image, printable

OUTSIDE = "lies outside the folder; data.allow_outside reads it"


@dataclass(frozen=True, kw_only=True)
class Found:
    """An image and its key, or why there is none."""

    path: str = ""
    """Relative to the folder."""
    key: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PictureFiles:
    """Images below ``root``."""

    root: Path
    names: Sequence[str]
    """Their paths relative to ``root``."""
    allow_outside: bool = False
    """Also take files that a table names in other folders."""
    by_number: bool = False
    """Whether ``1`` means ``000001.png`` where no file is called ``1``."""

    def at(self, name: str) -> Found:
        """The image at the path ``name``; ``./``, backslashes and accents' form do not matter."""
        for path in (name, _clean(name), self._composed.get(_normal(_clean(name)), "")):
            if path in self.known:
                return Found(path=path, key=printable(path))
        place = os.path.normpath(self.root / name)
        inside = os.path.relpath(place, self.root)
        if not os.path.isfile(place):  # noqa: PTH113 (False for a name that no file can have)
            return Found(problem="no such image")
        if inside.startswith(".."):
            return Found(path=place, key=name) if self.allow_outside else Found(problem=OUTSIDE)
        return Found(path=Path(inside).as_posix(), key=printable(Path(inside).as_posix()))

    def find(self, name: str, beside: Path | None = None) -> Found:
        """The image that ``name`` means, first of all in the folder ``beside``, of its table.

        That is a path, the end of one, or either without its suffix, in any case; a path that
        starts with the name of the folder itself; or one of another machine whose end is here.
        The key is the name with the suffix, so that it does not depend on the folder; that of
        another image than the name alone would mean is its path.
        """
        found = self._named(name)
        if beside is None or beside == self.root:
            return found
        own = self._at_once(posixpath.join(os.path.relpath(beside, self.root), _clean(name)))
        return own if own.path in self.known and own.path != found.path else found

    def _at_once(self, name: str) -> Found:
        """The image at the path ``name``, in any case and perhaps without its suffix."""
        there = self.at(name)
        plain = _plain(_clean(name))
        stem = PurePosixPath(plain).name
        close = [
            path
            for path in (*self._by_name.get(stem, ()), *self._by_stem.get(stem, ()))
            if plain in (_plain(path), _plain(_stem(path)))
        ]
        return self.at(close[0]) if not there.path and len(close) == 1 else there

    def _named(self, name: str) -> Found:
        there = self.at(name)
        if there.path or there.problem == OUTSIDE:
            return there
        clean = _clean(name)
        stem = PurePosixPath(clean).name
        fitting = self._ending(self._by_name[_plain(stem)], clean) if is_image(clean) else []
        if not fitting:
            fitting = [p for p in self._by_stem[_plain(stem)] if _ends(_stem(p), clean)]
        if not fitting and self.by_number and clean.isdecimal():
            fitting = self.numbered(clean)
            clean = PurePosixPath(fitting[0]).stem if fitting else clean
        if not fitting:
            return self._by_its_end(clean) or Found(problem=self._problem(clean))
        if len(fitting) > 1:
            return Found(problem=f"several images: {fitting[0]}, {fitting[1]}")
        only = fitting[0]
        if _plain(only).endswith(_plain(clean)):
            return Found(path=only, key=printable(only[len(only) - len(clean) :]))
        return Found(path=only, key=printable(clean + PurePosixPath(only).suffix))

    def _ending(self, paths: Sequence[str], name: str) -> list[str]:
        """Those that end as ``name`` does; if in another case, then only without a better one."""
        exact = [path for path in paths if f"/{path}".endswith(f"/{name}")]
        return exact or [path for path in paths if _ends(path, name)]

    def _by_its_end(self, name: str) -> Found | None:
        """An image whose whole path ends ``name``, of another machine or with the folder's own."""
        absolute = name != name.lstrip("/") or re.match(r"[A-Za-z]:/", name)
        for path in self._by_name[_plain(PurePosixPath(name).name)]:
            head = _plain(name)[: -len(_plain(path))].rstrip("/")
            fits = _ends(name, path) and (absolute or f"/{self._own}".endswith(f"/{head}"))
            if fits:
                return Found(path=path, key=printable(path))
        return None

    def _problem(self, name: str) -> str:
        """Why nothing is found, with an image that differs in its suffix alone."""
        stem = _stem(name) if is_image(name) else name
        named = self._by_stem.get(_plain(PurePosixPath(stem).name), [])
        others = [path for path in named if _ends(_stem(path), stem)]
        return f"no such image, but {others[0]}" if others else "no such image"

    @cached_property
    def known(self) -> frozenset[str]:
        """The paths."""
        return frozenset(self.names)

    def numbered(self, number: str) -> list[str]:
        """The paths of files that are called as a number, whatever zeros stand before it."""
        return self._by_digits.get(_digits(number), [])

    @cached_property
    def has_zeros(self) -> bool:
        """Whether a file is called as a number with zeros before it."""
        several = self._by_digits.items()
        return any(PurePosixPath(p).stem != number for number, paths in several for p in paths)

    @cached_property
    def _by_digits(self) -> defaultdict[str, list[str]]:
        stems = ((PurePosixPath(path).stem, path) for path in self.names)
        return _grouped((_digits(stem), path) for stem, path in stems if stem.isdecimal())

    @cached_property
    def _own(self) -> str:
        """The folder's own path, without links."""
        return _plain(self.root.resolve().as_posix())

    @cached_property
    def _composed(self) -> dict[str, str]:
        return {_normal(path): path for path in self.names}

    @cached_property
    def _by_name(self) -> defaultdict[str, list[str]]:
        return _grouped((_plain(PurePosixPath(path).name), path) for path in self.names)

    @cached_property
    def _by_stem(self) -> defaultdict[str, list[str]]:
        return _grouped((_plain(PurePosixPath(path).stem), path) for path in self.names)


def _digits(number: str) -> str:
    """Digits without zeros before them."""
    return number.lstrip("0") or "0"


def _clean(name: str) -> str:
    name = name.replace("\\", "/")
    clean = posixpath.normpath(name)
    return clean if clean.startswith("/") and name.startswith("/") else clean.removeprefix("/")


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return _normal(name).casefold()


def _ends(path: str, name: str) -> bool:
    return f"/{_plain(path)}".endswith(f"/{_plain(name).lstrip('/')}")


def _grouped(pairs: Iterable[tuple[str, str]]) -> defaultdict[str, list[str]]:
    grouped = defaultdict(list)
    for name, path in pairs:
        grouped[name].append(path)
    return grouped


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
