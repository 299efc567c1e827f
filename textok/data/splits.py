"""Folders that are splits of a set, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textok.data.sidecars import is_picture_folder

SPLITS = ("train", "val", "test")
EXACT = (*SPLITS, "validation")
_NAMES = {
    "train": ("train", "training", "trainset", "restval"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "valset"),
    "test": ("test", "testing", "testset"),
}
_YEAR = re.compile(r"[ _-]?(20)?\d{2}$")


def split_name(name: str) -> str:
    """``train``, ``val`` or ``test`` for any name of such a split (``Valid``, ``train2017``)."""
    plain = _YEAR.sub("", name.strip().casefold())
    return next((split for split, names in _NAMES.items() if plain in names), "")


def in_order(splits: Iterable[str]) -> list[str]:
    """Names of splits: train, val, test, then the others by name."""
    return sorted(splits, key=lambda name: ((*SPLITS, name).index(name), name))


@dataclass(frozen=True, kw_only=True)
class SplitFolders:
    """The splits of a set that are folders."""

    root: Path
    folders: Mapping[str, Path]
    """By the name that ``data.split`` has for them."""

    def folder(self, split: str) -> Path:
        """Where a split lies; the set itself where it has none, or none is asked for.

        Raises:
            ValueError: it has others.
        """
        if not split:
            return self.root
        own = self.root / split
        if own.is_dir():
            return own
        if not self.folders:
            return self.root
        found = self.folders.get(split_name(split))
        if found is None:
            raise ValueError(
                f"{self.root} has no sub-folder '{split}'; data.split can be "
                f"{', '.join(self.folders)}"
            )
        return found


def find_splits(root: Path) -> SplitFolders:
    """The split folders in ``root``, or in its one folder of images; exact names come first.

    Folders called ``dev`` or ``Testing`` beside classes are classes: such a name counts where there
    is a training split, or nothing but splits.
    """
    for place in (root, *_picture_folders(root)):
        children = sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))
        children.sort(key=lambda child: child.name not in SPLITS)
        named: dict[str, Path] = {}
        for child in children:
            named.setdefault(split_name(child.name), child)
        classes = named.pop("", None)
        exact = place == root and any(child.name in EXACT for child in named.values())
        if exact or "train" in named or (named and classes is None):
            return SplitFolders(root=root, folders={n: named[n] for n in SPLITS if n in named})
    return SplitFolders(root=root, folders={})


def _picture_folders(root: Path) -> list[Path]:
    folders = [p for p in root.iterdir() if p.is_dir() and is_picture_folder(p.name)]
    return folders if len(folders) == 1 else []
