"""A folder as archives of limited size, for a machine that is given files in pieces.

Each piece is a tar of xz-compressed files, complete in itself; its name says how many there are, as
in ``photographs-01-of-03.tar``. Pieces may arrive one after the other.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from textok.runtime.files import atomic_write

LIMIT = 21_000_000
"""Bytes of a piece at most."""
NAMED = re.compile(r"(.*)-\d\d-of-(\d\d)\.tar")
SUFFIX = ".xz"
UNPACKED = ".unpacked"
_OVERHEAD = 2048
"""Of a member in a tar, at most, beside its bytes."""
_END = 10_240
"""Of a tar, at most, after its members."""


def write_pieces(tree: Path, out: Path, name: str, *, limit: int = LIMIT) -> list[Path]:
    """Write every file under ``tree`` into as few pieces as fit; earlier pieces in ``out`` go.

    Raises ValueError for a file that is larger than a piece even when compressed.
    """
    packed = {
        path.relative_to(tree).as_posix(): lzma.compress(path.read_bytes(), preset=1)
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }
    bins = _bins({file: len(content) + _OVERHEAD for file, content in packed.items()}, limit - _END)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{name}-??-of-??.tar"):
        old.unlink()
    written = []
    for number, files in enumerate(bins, start=1):
        path = out / f"{name}-{number:02d}-of-{len(bins):02d}.tar"
        with atomic_write(path) as temporary, tarfile.open(temporary, "w") as piece:
            for file in files:
                member = tarfile.TarInfo(file + SUFFIX)
                member.size = len(packed[file])
                piece.addfile(member, io.BytesIO(packed[file]))
        written.append(path)
    return written


def _bins(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Files into as few bins as the largest-first rule finds."""
    bins: list[list[str]] = []
    room: list[int] = []
    for file in sorted(sizes, key=lambda one: (-sizes[one], one)):
        if sizes[file] > limit:
            raise ValueError(f"{file} takes {sizes[file]} bytes, over {limit}: make it smaller")
        place = next((i for i, left in enumerate(room) if sizes[file] <= left), len(bins))
        if place == len(bins):
            bins.append([])
            room.append(limit)
        bins[place].append(file)
        room[place] -= sizes[file]
    return bins


def unpack(pieces: Path, work: Path) -> list[str]:
    """Unpack what has arrived in ``pieces`` into ``work``, each once; names of those still missing.

    Raises ValueError for a damaged piece, and where no piece ever arrived.
    """
    marks = work / UNPACKED
    marks.mkdir(parents=True, exist_ok=True)
    for path in sorted(one for one in pieces.glob("*.tar") if NAMED.fullmatch(one.name)):
        if not (marks / path.name).exists():
            _unpack(path, work)
            (marks / path.name).touch()
    arrived = sorted(mark.name for mark in marks.iterdir() if NAMED.fullmatch(mark.name))
    if not arrived:
        raise ValueError(f"{pieces} has no piece: put files like NAME-01-of-03.tar there")
    packs = {(found[1], found[2]) for name in arrived if (found := NAMED.fullmatch(name))}
    if len(packs) > 1:
        told = " and ".join(f"{name} of {number}" for name, number in sorted(packs))
        raise ValueError(
            f"{work} has pieces of {told}: give each set of pieces a folder of its own"
        )
    [(name, number)] = packs
    every = [f"{name}-{i:02d}-of-{number}.tar" for i in range(1, int(number) + 1)]
    return [one for one in every if one not in arrived]


def _unpack(path: Path, work: Path) -> None:
    try:
        with tarfile.open(path) as piece:
            for member in piece:
                stream = piece.extractfile(member)
                target = (work / member.name.removesuffix(SUFFIX)).resolve()
                if stream is None or work.resolve() not in target.parents:
                    raise ValueError(f"{path}: {member.name} is no file of a piece")
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(target) as temporary:
                    temporary.write_bytes(lzma.decompress(stream.read()))
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path}: damaged ({error}); bring it again") from error
