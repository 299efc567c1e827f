"""Captions of other files in the place of those beside the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from textok.config.check import require
from textok.config.data import DataConfig
from textok.data.caption_files import read_captions
from textok.data.class_captions import for_image, read_class_captions
from textok.data.mixture import MixturePart
from textok.data.records import Record

_Captions = Mapping[str, tuple[str, ...]]


def with_captions(records: Sequence[Record], config: DataConfig) -> list[Record]:
    """The records with the captions of their keys; without one where there is none.

    Raises:
        ValueError: ``data.captions`` cannot be read, or is of other images.
    """
    captions = read_captions(Path(config.captions).expanduser(), config.split)
    if records and not any(record.key in captions for record in records):
        raise _of_others(config, len(captions), records[0].key)
    return [replace(record, captions=captions.get(record.key, ())) for record in records]


def with_captions_by_set(
    records: Sequence[Record], parts: Sequence[MixturePart], config: DataConfig
) -> list[Record]:
    """The same in a mixture, where keys are those inside each set.

    The captions of a set are those of the sub-folder of its name; where no set has one, all sets
    share the files. A set that none of the captions is of keeps its own.

    Raises:
        ValueError: as :func:`with_captions`, or shared captions of a key that two sets have.
    """
    root = Path(config.captions).expanduser()
    folders = [part.name for part in parts if (root / part.name).is_dir()]
    shared: _Captions = {} if folders else read_captions(root, config.split)
    found: list[Record] = []
    taken: dict[str, str] = {}
    for part in parts:
        captions = read_captions(root / part.name, config.split) if part.name in folders else shared
        own = [records[at] for at in part.images]
        keys = [record.key.partition("/")[2] for record in own]
        if not any(key in captions for key in keys):
            if part.name in folders:
                raise _of_others(config, len(captions), own[0].key)
            found += own
            continue
        for key in filter(shared.__contains__, keys):
            first = taken.setdefault(key, part.name)
            require(
                first == part.name,
                f"data.captions {root} has captions of {key}, which {first} and {part.name} both "
                f"have: put those of each set into a sub-folder, {root / first} and "
                f"{root / part.name}",
            )
        found += [
            replace(record, captions=captions.get(key, ()))
            for record, key in zip(own, keys, strict=True)
        ]
    if not folders and not taken:
        raise _of_others(config, len(shared), records[0].key.partition("/")[2])
    return found


def with_class_captions(records: list[Record], config: DataConfig) -> list[Record]:
    """The records with the captions of their class, where ``data.class_captions`` has any."""
    if not config.class_captions:
        return records
    known = read_class_captions(Path(config.class_captions).expanduser())
    of_class = {name: captions.of_split(config.split) for name, captions in known.items()}
    labels = {record.label for record in records if record.label is not None}
    if records and not labels & known.keys():
        raise ValueError(
            f"data.class_captions {config.class_captions} has captions of {len(known)} classes, "
            f"none of which is in {config.path}, "
            + (f"where one is {min(labels)}" if labels else "whose images have no classes")
        )
    several = [of_class.get(record.label or "") for record in records]
    return [
        replace(record, captions=for_image(captions, record.key)) if captions else record
        for record, captions in zip(records, several, strict=True)
    ]


def _of_others(config: DataConfig, count: int, example: str) -> ValueError:
    return ValueError(
        f"data.captions {config.captions} has captions of {count} keys, none of which is in "
        f"{config.path}, where one is {example}"
    )
