"""Typed columns for metadata that has a type a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from textok.data.images import sorted_labels
from textok.datasets.export.pictures import Pictures

CAPTION, CAPTIONS = "caption", "captions"
IMAGE = "image"
"""Column of the images; metadata of that name, which a table gives to files, is left out."""
SMALLEST, LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Column:
    """One name in the metadata of images."""

    name: str
    kind: str
    """``bool``, ``int64``, ``float64`` or ``string``, as Arrow calls them."""
    several: bool = False
    """Whether each value is a list."""
    classes: tuple[str, ...] = ()
    """The names that values are numbers of."""

    def value(self, facts: Mapping[str, object]) -> object:
        """The value of an image; None where it has none."""
        value = facts.get(self.name)
        if value is None and self.name == CAPTIONS:
            value = facts.get(CAPTION)
        if value is None:
            return None
        if self.classes:
            return self._numbers[str(value)]
        if self.several:
            return [self._one(one) for one in (value if isinstance(value, list) else [value])]
        return self._one(value)

    def _one(self, value: object) -> object:
        return str(value) if self.kind == "string" else value

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}


def find_columns(pictures: Pictures) -> list[Column]:
    """The columns that hold the metadata of all splits, captions and class first.

    ``caption`` where no image has several captions, else ``captions``, a list.
    """
    everything = [picture for several in pictures.values() for picture in several]
    columns = [Column(name="key", kind="string")]
    most = max((len(picture.record.captions) for picture in everything), default=0)
    if most:
        name = CAPTION if most == 1 else CAPTIONS
        columns.append(Column(name=name, kind="string", several=most > 1))
    labels = {p.record.label for p in everything if p.record.label is not None}
    if labels:
        columns.append(Column(name="label", kind="int64", classes=tuple(sorted_labels(labels))))
    taken = {column.name for column in columns} | {IMAGE}
    kinds: dict[str, set[str]] = {}
    lists = set[str]()
    for name, value in (pair for picture in everything for pair in picture.fields.items()):
        values = value if isinstance(value, list) else [value]
        kinds.setdefault(name, set()).update(map(_kind, values))
        lists.update([name] if isinstance(value, list) else ())
    columns += [
        Column(name=name, kind=_common(found), several=name in lists)
        for name, found in kinds.items()
        if name not in taken
    ]
    return columns


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int) and SMALLEST <= value <= LARGEST:
        return "int64"
    return "float64" if isinstance(value, float) else "string"


def _common(kinds: set[str]) -> str:
    """The type that takes values of all ``kinds``."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float64" if kinds == {"int64", "float64"} else "string"
