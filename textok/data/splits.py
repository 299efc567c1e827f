"""Folders that are splits of a set, whatever they are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from textok.data.folder import PREVIEWS, is_folder, is_hidden, is_image, is_picture_folder

SPLITS = ("train", "val", "test")
EXACT = (*SPLITS, "validation")
DEEP = 4
"""Folders that hold nothing but one folder are gone down so far."""
CLASSES = 3
"""Beside so many folders of images, one called ``train`` is the class of railways."""
_NAMES = {
    "train": ("train", "training", "trainset", "restval", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "eval", "valset"),
    "test": ("test", "testing", "testset", "tst"),
}
_YEAR = re.compile(r"[ _-]?(20)?\d{2}$")
_GENERIC = (
    r"data(?:sets?)?|sets?|splits?|images?|imgs?|pictures?|pics?|photos?|jpe?gs?|pngs?|webp|files?"
    r"|folder|shards?|tars?|parts?|full|all|original|raw|resized|cropped|small|large|hr|lr|version"
)
"""Words that say nothing of what is in the pictures."""
_WORD = re.compile(
    rf"(?:{_GENERIC})*(?:(?P<train>train(?:ing|val(?:id)?)?|trn|restval)"
    r"|(?P<val>val(?:id(?:ation|ate)?)?|dev(?:elopment)?|eval(?:uation)?)"
    rf"|(?P<test>test(?:ing)?|tst|h[eo]ldout))(?:{_GENERIC})*"
)
_HALVES = re.compile(r"\b(?:(train) (val(?:id)?)|(h[eo]ld) (out))\b")
_NUMBER = re.compile(r"(?<![^\W\d_])v\d+|\d+(?: ?x ?\d+)?(?:px|p)?")
"""A version, a resolution, a year, a place in the order."""


def split_name(name: str) -> str:
    """``train``, ``val`` or ``test`` for any name of such a split (``Valid``, ``train2017``)."""
    plain = _YEAR.sub("", name.strip().casefold())
    return next((split for split, names in _NAMES.items() if plain in names), "")


@lru_cache(maxsize=4096)
def split_in_words(name: str) -> tuple[str, str]:
    """The split that a longer name tells of, and the words before that: those of a set's name.

    ``coco_train_images_256`` is ``train`` of ``coco``. After the word of a split come generic ones
    alone, as in no ``test_tube``. Both are empty for any other name.
    """
    split, before = "", []
    for word in _HALVES.sub(r"\1\2\3\4", _plain(name)).split():
        found = _WORD.fullmatch(word)
        told = str(found.lastgroup) if found else ""
        generic = re.fullmatch(_GENERIC, word)
        if (split and not (generic or told == split)) or (told and split and told != split):
            return "", ""
        split = split or told
        before += [] if split or generic else [word]
    return (split, " ".join(before)) if split else ("", "")


def _plain(name: str) -> str:
    """The words of a name, without numbers."""
    return " ".join(re.sub(r"[\W_]", " ", _NUMBER.sub(" ", name.casefold())).split())


def in_order(splits: Iterable[str]) -> list[str]:
    """Names of splits: train, val, test, then the others by name."""
    return sorted(splits, key=lambda name: ((*SPLITS, name).index(name), name))


@dataclass(frozen=True, kw_only=True)
class SplitFolders:
    """The splits of a set that are folders."""

    root: Path
    folders: Mapping[str, Path]
    """By the name that ``data.split`` has for them."""
    place: Path
    """Where they lie: ``root`` or a folder in it."""
    rivals: Mapping[str, Path] = field(default_factory=dict)
    """Folders that could be a split as well as the one in ``folders``."""

    def folder(self, split: str) -> Path:
        """Where a split lies; the set itself where it has none, or none is asked for.

        Raises:
            ValueError: it has others, or several that could be this one.
        """
        if not split:
            return self.root
        own = next((p for p in (self.root / split, self.place / split) if p.is_dir()), None)
        if own is not None and (self.folders or not split_name(split)):
            return own
        if not self.folders:
            return self.root
        name = split_name(split)
        found, rival = self.folders.get(name), self.rivals.get(name)
        if found is None:
            raise ValueError(
                f"{self.root} has no sub-folder '{split}'; data.split can be "
                f"{', '.join(self.folders)}"
            )
        if rival is not None:
            raise ValueError(
                f"{self.place}: {found.name} and {rival.name} could both be the split {name}; lay "
                f"them into one folder, or name one with data.split, as {found.name}"
            )
        return found


def find_splits(root: Path) -> SplitFolders:
    """The split folders in ``root``, in its one folder of images, or in the only folder there.

    A training and another split count by the words of their names (``train_images``, ``test_set``).
    Else, in the first two places, exact names do; but folders called ``dev`` or ``Testing`` beside
    classes are classes: such a name counts where there is a training split, or nothing but splits.
    """
    for place, alone in _places(root):
        children = sorted(_folders(place), key=_exactness)
        found, rivals = _by_words(children)
        if not found and not alone:
            found = _by_names(children, exact=place == root)
        if found:
            folders = {name: found[name] for name in SPLITS if name in found}
            return SplitFolders(root=root, place=place, folders=folders, rivals=rivals)
    return SplitFolders(root=root, place=root, folders={})


def _places(root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders that may hold the splits, and whether they are the only one in another."""
    place, alone = root, False
    for _ in range(DEEP):
        yield place, alone
        children = _folders(place)
        pictures = [child for child in children if is_picture_folder(child.name)]
        if len(pictures) != 1 and (len(children) != 1 or _has_images(place)):
            return
        alone = alone or place != root or len(pictures) != 1
        place = (pictures if len(pictures) == 1 else children)[0]


def _by_words(children: Sequence[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Folders whose names differ in the split alone, and others that could be the same ones.

    The name of a set may come before the split, where other folders of images start with it too.
    """
    groups: dict[str, dict[str, list[Path]]] = {}
    for child in children:
        split, before = split_in_words(child.name)
        if split:
            groups.setdefault(before, {}).setdefault(split, []).append(child)
    whole = {n: group for n, group in groups.items() if "train" in group and len(group) > 1}
    if "" not in whole and len(whole) != 1:
        return {}, {}
    name = "" if "" in whole else next(iter(whole))
    members = {child for several in whole[name].values() for child in several}
    others = (
        child
        for child in children
        if child not in members and not f"{_plain(child.name)} ".startswith(f"{name} ")
    )
    if name and any(map(_holds_images, others)):
        return {}, {}
    rivals = {n: s[1] for n, s in whole[name].items() if len(s) > 1 and not split_name(s[0].name)}
    return {split: several[0] for split, several in whole[name].items()}, rivals


def _by_names(children: Sequence[Path], *, exact: bool) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for child in children:
        named.setdefault(split_name(child.name), child)
    others = [child for child in children if not split_name(child.name)]
    named.pop("", None)
    if named.keys() == {"train"} and sum(map(_holds_images, others)) >= CLASSES:
        return {}
    exact = exact and any(child.name in EXACT for child in named.values())
    return named if exact or "train" in named or not others else {}


def _exactness(folder: Path) -> tuple[bool, bool, str]:
    return folder.name not in SPLITS, not split_name(folder.name), folder.name


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [
                place / entry.name
                for entry in entries
                if not is_hidden(entry.name) and entry.name not in PREVIEWS and is_folder(entry)
            ]
    except OSError:  # may not be read
        return []


def _has_images(place: Path) -> bool:
    with os.scandir(place) as entries:
        return any(is_image(entry.name) for entry in entries)


def _holds_images(folder: Path) -> bool:
    """Whether an image lies in a folder or anywhere below it."""
    return any(is_image(name) for _, _, names in os.walk(folder) for name in names)
