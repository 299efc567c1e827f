"""The folder that a command fills, and continues to fill when it is run again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textok.config.check import require
from textok.config.data import DataConfig
from textok.runtime.files import write_text
from textok.runtime.own_folder import OwnFolder
from textok.runtime.pretrained import read_json

BUILD, SOURCES = ".build", ".sources"
"""Folders of the notes that runs leave for the next one, and of what is downloaded."""


def own_folder(out: Path, *, note: str, kind: str) -> OwnFolder:
    """The folder of a data set, which its note tells, without a marker.

    What is there without the note cannot be continued: it may be of other settings.
    """

    def noted(folder: Path) -> bool:
        begun = {child.name for child in folder.iterdir()} <= {BUILD, SOURCES}
        return begun or (folder / BUILD / note).is_file()

    return OwnFolder(path=out, kind=kind, setting="OUT", made_before=noted)


def write_note(out: Path, note: str, text: str) -> None:
    """Write the note, before anything else is made, so that a run that fails can be continued."""
    (out / BUILD).mkdir(parents=True, exist_ok=True)
    write_text(out / BUILD / note, text)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder with a note of what it is made of."""

    out: Path
    note: str
    """Name of the note."""
    kind: str
    """What lies in such a folder, as messages call it."""
    usual: Mapping[str, object] = field(default_factory=dict)
    """What holds for entries of the recipe that an older note lacks."""

    def check_apart(self, data: DataConfig) -> None:
        """Refuse a folder inside the set that is read: it would be read the next time."""
        if "://" in data.path:
            return
        source, out = Path(data.path).expanduser().resolve(), self.out.resolve()
        for folder in (source, source / Path(data.images).expanduser()):
            inside = folder.is_dir() and (out == folder or folder in out.parents)
            require(
                not inside, f"{self.out}: lies in the set that is read; choose a folder outside it"
            )

    def check_own(self) -> None:
        """Refuse a folder that holds something else, before anything long is done."""
        own_folder(self.out, note=self._note.name, kind=self.kind).check()

    def begin(self, recipe: Mapping[str, object], *, folders: Iterable[str]) -> None:
        """Make the ``folders``, clear what a stopped run left half written, write the note.

        Raises:
            ValueError: what is there was made by another recipe.
        """
        if self._note.is_file():
            there = {**self.usual, **read_json(self._note)}
            other = sorted(name for name in recipe if there.get(name) != recipe[name])
            require(
                not other,
                f"{self.out}: was made with another {' and '.join(other)}; choose another folder, "
                "or delete it",
            )
        write_note(self.out, self._note.name, json.dumps(recipe))
        for folder in (BUILD, *folders):
            (self.out / folder).mkdir(parents=True, exist_ok=True)
            for leftover in (self.out / folder).glob(".*.tmp"):
                leftover.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.out / BUILD / f"{self.note}.json"
