"""The image files below a folder, found by what a table calls them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from textok.data.records import IMAGE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture and its key, or why there is none."""

    path: str = ""
    """Relative to the folder."""
    key: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PictureFiles:
    """Pictures below ``root``."""

    root: Path
    names: Sequence[str]
    """Their paths relative to ``root``."""

    def at(self, name: str) -> Found:
        """The picture at the path ``name``; ``./`` and backslashes do not matter."""
        for path in (name, _clean(name)):
            if path in self.known:
                return Found(path=path, key=path)
        if (self.root / name).is_file():
            return Found(path=name, key=name)
        return Found(problem="no such picture")

    def find(self, name: str) -> Found:
        """The picture that ``name`` means: a path, the end of one, or either without its suffix.

        The key of a picture is its name with the suffix, so that it does not depend on the folder.
        """
        there = self.at(name)
        if there.path:
            return there
        clean = _clean(name)
        if PurePosixPath(clean).suffix.lower() in IMAGE_SUFFIXES:
            fitting = self._ending(self._by_name[PurePosixPath(clean).name], clean)
        else:
            stem = PurePosixPath(clean).name
            fitting = [p for p in self._by_stem[stem] if f"/{_stem(p)}".endswith(f"/{clean}")]
        if not fitting:
            return Found(problem="no such picture")
        if len(fitting) > 1:
            return Found(problem=f"several pictures: {fitting[0]}, {fitting[1]}")
        suffix = "" if fitting[0].endswith(clean) else PurePosixPath(fitting[0]).suffix
        return Found(path=fitting[0], key=clean + suffix)

    def _ending(self, paths: Sequence[str], name: str) -> list[str]:
        return [path for path in paths if f"/{path}".endswith(f"/{name}")]

    @cached_property
    def known(self) -> frozenset[str]:
        """The paths."""
        return frozenset(self.names)

    @cached_property
    def _by_name(self) -> defaultdict[str, list[str]]:
        return _grouped((PurePosixPath(path).name, path) for path in self.names)

    @cached_property
    def _by_stem(self) -> defaultdict[str, list[str]]:
        return _grouped((PurePosixPath(path).stem, path) for path in self.names)


def _clean(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/")).removeprefix("/")


def _grouped(pairs: Iterable[tuple[str, str]]) -> defaultdict[str, list[str]]:
    grouped = defaultdict(list)
    for name, path in pairs:
        grouped[name].append(path)
    return grouped


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
