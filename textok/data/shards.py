"""WebDataset tar shards, read at random through an index of their members."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from textok.config.data import SourceConfig
from textok.data.column_names import SHOWN
from textok.data.folder import is_hidden, printable
from textok.data.records import Entry, Record
from textok.data.report import ReadReport
from textok.data.splits import split_in_words, split_name
from textok.data.tar_cache import read_index

MOST = 1_000_000
"""Shards in one range of a pattern."""


def find_shards(pattern: str) -> list[Path]:
    """The shards of ``data-{000..009}.tar``, of a glob, or of one path to a ``.tar``.

    Raises:
        ValueError: a shard of a brace range is missing, a glob matches none, or no ``.tar``.
    """
    shards: list[Path] = []
    for name in [pattern] if Path(pattern).is_file() else _expand_braces(pattern):
        path = Path(name)
        plain = path.is_file() or not glob.has_magic(name)
        shards += [path] if plain else sorted(path.parent.glob(path.name))
    if not shards:
        raise ValueError(f"data.path {pattern} matches no file; check the pattern")
    for shard in shards:
        if shard.suffix.lower() != ".tar" or not shard.is_file():
            raise ValueError(f"data.path {pattern}: {shard} is no .tar file; check the pattern")
    return shards


def shards_in(folder: Path) -> list[Path]:
    """The shards of a folder, without hidden files, which macOS writes beside others."""
    named = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".tar")
    return [path for path in named if path.is_file() and not is_hidden(path.name)]


def shards_by_split(shards: Sequence[Path]) -> dict[str, list[Path]]:
    """The shards of each split, by names like ``train-000.tar`` or ``coco_val_000.tar``.

    None if all are of one, or the name of one says none.
    """
    found: dict[str, list[Path]] = {}
    for shard in shards:
        words = re.split(r"[\W\d_]+", shard.stem)
        told = split_name(words[0]) or split_in_words(shard.stem)[0]
        others = set(map(split_name, words)) - {""}
        found.setdefault(told or (others.pop() if len(others) == 1 else ""), []).append(shard)
    return {} if "" in found or len(found) < 2 else found


def read_shards(
    shards: Sequence[Path], config: SourceConfig, report: ReadReport
) -> Iterator[Entry]:
    """One record for each image of the shards; its key is SHARD/KEY.

    A shard that ends too early is read up to there, and thought to hold as many images as the
    others do on average, at least one more than were found.

    Raises:
        ValueError: a file is no tar archive.
    """
    found: list[int] = []
    captioned, names = False, dict[str, None]()
    cut: dict[str, int] = {}
    base = Path(os.path.commonpath([shard.parent.absolute() for shard in shards]))
    for shard in shards:
        name = shard.absolute().relative_to(base).with_suffix("").as_posix()
        index = read_index(shard, separator=config.caption_separator, encoding=config.encoding)
        if index.complete:
            found.append(len(index.members))
        else:
            cut[printable(shard.name)] = len(index.members)
        report.duplicates += [printable(f"{name}/{key}") for key in index.duplicates]
        report.dotted += [printable(f"{name}/{member}") for member in index.dotted]
        index.tell(report)
        for member in index.members:
            key = printable(f"{name}/{member.key}")
            if member.span is None:
                report.missing[key] = "only its caption is there"
                continue
            captioned = captioned or bool(member.captions)
            names.update({} if captioned else dict.fromkeys(member.fields))
            record = Record(
                key=key, captions=member.captions, label=member.label, file=shard, span=member.span
            )
            yield record, member.fields
    if names and not captioned:
        report.captionless["*.json"] = f"its fields are {', '.join(islice(names, SHOWN))}"
    mean = sum(found) // max(1, len(found))
    report.truncated |= {name: max(1, mean - there) for name, there in cut.items()}


def _expand_braces(pattern: str) -> list[str]:
    """``a{1..3}`` and ``{a,b}`` as a shell expands them; leading zeros are kept."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    span = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    if span is None:
        inner = found[1].split(",")
    else:
        first, last = span.groups()
        if int(last) - int(first) >= MOST:
            raise ValueError(f"data.path: {{{found[1]}}} are over {MOST:,} shards; check the range")
        inner = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [text for part in inner for text in _expand_braces(head + part + tail)]
