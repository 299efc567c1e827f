"""Folders that a command writes: its own, known by a marker, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from textok.config.check import require
from textok.runtime.files import require_writable, write_text
from textok.runtime.untrusted import regular_file

MARKER = ".textok.json"
SHOWN = 3


def _never(folder: Path) -> bool:
    del folder
    return False


@dataclass(frozen=True, kw_only=True)
class OwnFolder:
    """A folder that holds one kind of thing, and only that."""

    path: Path
    kind: str
    """What it holds, as in "a run"."""
    setting: str
    """That names it."""
    made_before: Callable[[Path], bool] = _never
    """Whether a folder without a marker is of this kind, made by a version that wrote none."""

    def check(self) -> None:
        """Raise ValueError where something else lies there, OSError where nothing can be written.

        Called before anything long is done.
        """
        self.check_content()
        require_writable(self.path)

    def check_content(self) -> None:
        """Raise ValueError where something else lies there."""
        path, name = self.path, f"{self.setting} {self.path}"
        require(path.is_dir() or not path.exists(), f"{name} is a file: name a folder")
        there = sorted(child.name for child in path.iterdir()) if path.is_dir() else []
        if not there or self.made_before(path):
            return
        kind = _marked(path)
        require(
            kind == self.kind,
            f"{name} holds {kind}, not {self.kind}: choose another folder"
            if kind
            else f"{name} holds other files ({', '.join(there[:SHOWN])}"
            f"{', ...' if len(there) > SHOWN else ''}) and is not {self.kind} of textok: choose "
            "another folder",
        )

    def claim(self) -> None:
        """Create and mark it. Raises ValueError where something else lies there."""
        self.check_content()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"{self.setting} {self.path} cannot be a folder: {error}") from None
        if _marked(self.path) != self.kind:
            write_text(self.path / MARKER, json.dumps({"kind": self.kind}) + "\n", shared=True)


def foreign_files(
    folder: Path, names: Collection[str], *, made_here: Callable[[Path], bool]
) -> list[str]:
    """What stands against replacing ``folder`` whole: names of what is not ours in it.

    Ours are files of such ``names``, in a folder that ``made_here`` knows: a user's own README.md
    or model/ is called like ours. Raises ValueError for a file, and for a folder that one is in,
    which would be gone from under one.
    """
    require(folder.is_dir() or not folder.exists(), f"{folder}: a file: name a folder")
    there = sorted(child.name for child in folder.iterdir()) if folder.is_dir() else []
    inside = folder.is_dir() and Path.cwd().is_relative_to(folder.resolve())
    require(not inside, f"{folder}: is replaced whole, and you are in it: name it from outside")
    foreign = [name for name in there if name not in names]
    return foreign if foreign or not there or made_here(folder) else there


def _marked(folder: Path) -> str:
    try:
        found = json.loads(regular_file(folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(found.get("kind", "")) if isinstance(found, dict) else ""
