"""The parquet files of a folder, and which split each belongs to."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from textok.config.check import require
from textok.data.folder import PREVIEWS, is_folder, is_hidden
from textok.data.formats import IMAGE_SUFFIXES
from textok.data.splits import SPLITS, in_order, split_name
from textok.runtime.untrusted import regular_file

DEEPEST = 3
"""Folders below the one that is given, as in CONFIG/SPLIT/0000.parquet."""
LOOKED_AT = 10_000
"""So many files without a parquet file among them are another kind of set."""
SMALLEST = 12
"""Bytes of the marks at both ends of a parquet file and the length between them."""
SHARDED = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lies in a folder."""

    parquet: tuple[Path, ...] = ()
    pictures: tuple[Path, ...] = ()
    """Image files; not all of them in a large folder."""
    shards: bool = False
    """Whether there are tar shards, beside which img2dataset writes tables of its own."""


def look(root: Path) -> Found:
    """The parquet files in ``root`` and in folders below it, and what else is there."""
    parquet: list[Path] = []
    pictures: list[Path] = []
    shards = False
    for number, path in enumerate(_files(root)):
        suffix = path.suffix.lower()
        if suffix == ".parquet" and path.is_file() and path.stat().st_size >= SMALLEST:
            parquet.append(path)
        elif suffix in IMAGE_SUFFIXES and len(pictures) < LOOKED_AT:
            pictures.append(path)
        shards = shards or suffix == ".tar"
        if number > LOOKED_AT and not parquet:
            break
    return Found(parquet=tuple(sorted(parquet)), pictures=tuple(pictures), shards=shards)


def group_by_split(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each split, in the order of train, val, test and others.

    By the card of the set (README.md), else by names as the hub takes them: SPLIT-00000-of-00002,
    and ``train``, ``validation``, ``test`` and their like as folders or words of file names. Files
    without such a word belong to no split; where no file has one, all are under an empty name.

    Raises:
        ValueError: the card names several configurations and no default.
    """
    named = _by_card(root) or _by_name({path: path.relative_to(root) for path in files})
    return {name: named[name] for name in in_order(named)}


def canonical_split(name: str) -> str:
    """``validation`` and its like are ``val``; other names stay."""
    return split_name(name) or name


def _files(root: Path) -> Iterator[Path]:
    """Files nearest first, without hidden ones."""
    folders = deque([(root, 0)])
    while folders:
        folder, depth = folders.popleft()
        try:
            entries = os.scandir(folder)
        except OSError:
            continue
        with entries:
            for entry in entries:
                if is_hidden(entry.name) or entry.name in PREVIEWS:
                    continue
                if not is_folder(entry):
                    yield Path(entry.path)
                elif depth < DEEPEST:
                    folders.append((Path(entry.path), depth + 1))


def _by_name(files: Mapping[Path, PurePath]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, inside in files.items():
        found.setdefault(_split_of(inside), []).append(path)
    named = {split: several for split, several in found.items() if split}
    if len(named) > 1 or named.keys() & set(SPLITS):
        return named
    return {"": list(files)}


def _split_of(path: PurePath) -> str:
    """The split that a path inside the set names; empty where it names none."""
    sharded = SHARDED.match(path.stem)
    if sharded:
        name = sharded["split"]
        return split_name(name.rpartition("-")[2]) or _keyword(path.parts[:-1]) or name
    return _keyword(path.parts[:-1]) or _keyword((path.stem,))


def _keyword(parts: Sequence[str]) -> str:
    words = (word for part in reversed(parts) for word in re.split(r"[-._ 0-9]+", part.casefold()))
    return next(filter(None, map(split_name, words)), "")


def _by_card(root: Path) -> dict[str, list[Path]]:
    """The files as the card of the set lists them; empty where it does not."""
    configs = [one for one in _card(root).get("configs") or () if isinstance(one, dict)]
    listed = [config for config in configs if config.get("data_files")]
    if not listed:
        return {}
    default = [c for c in listed if c.get("default") or c.get("config_name") == "default"]
    chosen = default or listed
    names = ", ".join(str(config.get("config_name")) for config in listed)
    require(
        len(chosen) == 1,
        f"{root} has several configurations: {names}; give the files of one as data.path, as in "
        f"'{root}/NAME/*.parquet'",
    )
    return _listed(root, chosen[0]["data_files"])


def _listed(root: Path, data_files: Any) -> dict[str, list[Path]]:
    """Patterns of one split or of several, as cards write them."""
    several = data_files if isinstance(data_files, list) else [data_files]
    found: dict[str, list[Path]] = {}
    for one in several:
        split = canonical_split(str(one.get("split", ""))) if isinstance(one, dict) else ""
        patterns = one.get("path", ()) if isinstance(one, dict) else one
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            inside = re.sub(r"\*\*$", "**/*", str(pattern).strip("/ ")) or "*"
            files = sorted(file for file in root.glob(inside) if file.suffix == ".parquet")
            found.setdefault(split, []).extend(files)
    return {split: files for split, files in found.items() if files}


def _card(root: Path) -> dict[str, Any]:
    try:
        text = regular_file(root / "README.md").read_text(encoding="utf-8", errors="replace")
        head = re.match(r"\s*---\s*\n(.*?)\n---", text, re.DOTALL)
        card = yaml.safe_load(head[1]) if head else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return card if isinstance(card, dict) else {}
