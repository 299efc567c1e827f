"""A folder of captioned images, or of one split of them: tables, or texts beside the images."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from textok.config.data import DataConfig
from textok.data.advice import conversion, is_strict, require_images, unread_captions
from textok.data.folder import TABLES, FolderFiles, list_folder, printable
from textok.data.parquet import check_tables
from textok.data.pictures import PictureFiles
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.shards import read_shards, shards_in
from textok.data.sidecars import Sidecars, folder_labels, read_sidecars
from textok.data.source import Source
from textok.data.splits import SplitFolders, in_order, split_name
from textok.data.table import Table
from textok.data.table_place import FoundTable, find_tables


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """The images below ``root``, by the first rule that fits.

    1. Tar files: shards.
    2. One of ``TABLES`` in the folder, or in folders of images in it: those, read strictly.
    3. Other tables that name the images and have captions, there or above a split.
    4. Texts beside the images, or in folders of texts beside those of images.
    """

    config: DataConfig
    root: Path
    whole: SplitFolders | None = None
    """The set that it is a split of."""
    _used: set[Path] = field(default_factory=set)
    """Tables that were read."""
    _problems: dict[str, str] = field(default_factory=dict)
    """Tables that name the images but cannot be read, and why."""

    def source(self) -> Source:
        """With the splits that tables tell of, by a column ``split`` or by their own names."""
        if self.check_one_convention():
            return Source(read=self.read)
        if self._strict:
            return Source(read=self.read, splits=self._told)
        found = [one for one in self._found if one.has_captions]
        named = {split for one in found for split in one.splits}
        if not named and len(found) > 1:
            named = {one.split for one in found if one.split}
        return Source(read=self.read, splits=tuple(in_order(named)) if len(named) > 1 else ())

    def read(self, split: str, report: ReadReport) -> Iterator[Entry]:
        """The records of the folder; of ``split`` alone where tables tell them apart."""
        if self.check_one_convention():
            yield from read_shards(shards_in(self.root), self.config, report)
            return
        self._files.tell(report)
        check_tables(self._files)
        require_images(self._files)
        found = [] if self._strict else self._tables_of(split)
        if self._strict:
            yield from self._strictly(split, report)
        elif found:
            yield from self._by_tables(found, split, report)
        else:
            yield from read_sidecars(self._sidecars, report)
        report.beside.update(
            Counter(map(self._beside, self._around.images if self._around else ()))
        )
        used = self._sidecars.used() | self._used
        unread = unread_captions(self._files, self._around, used, report)
        reasons = {name: self._problems.get(name) or conversion(name) for name in unread}
        unread.sort(key=lambda name: not reasons[name])
        report.unread += [name + f" ({reasons[name]})" * bool(reasons[name]) for name in unread]

    def _beside(self, name: str) -> str:
        """The folder beside the splits that an image lies in, or a point where it is in none."""
        place = "" if self.whole is None else os.path.relpath(self.whole.place, self.whole.root)
        inside = printable(name).removeprefix(f"{place}/")
        return inside.partition("/")[0] if "/" in inside else "."

    def check_one_convention(self) -> bool:
        """Whether the folder is of shards. Raises ValueError for one that has tables as well."""
        shards = shards_in(self.root)
        tables = [name for name in TABLES if (self.root / name).is_file()]
        if len(tables) + bool(shards) > 1:
            names = [*(shard.name for shard in shards[:1]), *tables]
            raise ValueError(f"{self.root} has {' and '.join(names)}; keep one of them")
        return bool(shards)

    @cached_property
    def _strict(self) -> Mapping[str, Sequence[str]]:
        """The tables that are read strictly, by their folders: those that have images below."""
        folders = {os.path.dirname(name) for name in self._files.images}  # noqa: PTH120 (of many)
        above = {str(parent) for folder in folders for parent in PurePosixPath(folder).parents}
        above |= {".", *folders}
        found: dict[str, list[str]] = defaultdict(list)
        for name in filter(is_strict, self._files.others):
            folder = str(PurePosixPath(name).parent)
            if folder in above:
                found[folder].append(name)
        return dict(sorted(found.items(), key=lambda item: (item[0] != ".", item[0].count("/"))))

    @cached_property
    def _told(self) -> tuple[str, ...]:
        """The splits that strict tables tell apart by a column; in the folder of a split none."""
        first = self._strict.get(".")
        names = first or [name for several in self._strict.values() for name in several]
        tables = [] if self.whole is not None else [self._strict_table(name) for name in names]
        found = {split for table in tables for split in table.splits()}
        return tuple(in_order(found)) if len(found) > 1 else ()

    @cached_property
    def _files(self) -> FolderFiles:
        return list_folder(self.root)

    @cached_property
    def _around(self) -> FolderFiles | None:
        """Of a split: the files of the whole set, but for its splits."""
        if self.whole is None:
            return None
        return list_folder(self.whole.root, without=tuple(self.whole.folders.values()))

    @cached_property
    def _sidecars(self) -> Sidecars:
        return Sidecars(files=self._files, config=self.config, around=self._around)

    @cached_property
    def _pictures(self) -> PictureFiles:
        return PictureFiles(
            root=self.root, names=self._files.images, allow_outside=self.config.allow_outside
        )

    @cached_property
    def _found(self) -> list[FoundTable]:
        """Tables that name images of the folder, in it or above the split."""
        places = [(self._files, self._sidecars.beside())]
        places += [(self._around, [])] if self._around is not None else []
        return [
            table
            for files, beside in places
            for table in find_tables(files, beside, self._pictures, self.config, self._problems)
        ]

    def _tables_of(self, split: str) -> list[FoundTable]:
        """Those with captions, or else one with classes."""
        fitting = [one for one in self._found if one.is_of(split)]
        captioned = [one for one in fitting if one.has_captions]
        return captioned or [one for one in fitting if one.has_labels][:1]

    def _by_tables(
        self, tables: Sequence[FoundTable], split: str, report: ReadReport
    ) -> Iterator[Entry]:
        """Raises ValueError for two tables with captions of the same image."""
        told = in_order({split for one in tables for split in one.splits})
        wanted = _one_of(told, split, " and ".join(one.name for one in tables))
        labels = folder_labels(self._files) if self._are_of_folders(tables) else {}
        named: set[str] = set()
        first: dict[Path, str] = {}
        for one in tables:
            self._used.add(one.path)
            report.reads_from.append(one.description())
            shared = self.root not in one.path.parents
            table = replace(one.table, split=wanted, shared=shared)
            entries = table.entries(self._pictures, report, named, sidecars=self._sidecars)
            for record, fields in entries:
                other = first.setdefault(record.file, one.name)
                if other != one.name:
                    raise ValueError(
                        f"{self.root}: {other} and {one.name} both have captions of its images; "
                        "name one with data.table, or keep one"
                    )
                path = os.path.relpath(record.file, self.root)
                yield replace(record, label=record.label or labels.get(path)), fields
        report.unlisted += len(set(self._files.images) - named)

    def _are_of_folders(self, tables: Sequence[FoundTable]) -> bool:
        """Whether each of several tables lies in a folder of images of its own."""
        heads = {os.path.relpath(one.path.parent, self.root) for one in tables}
        images = self._files.images
        return len(heads) == len(tables) > 1 and all(
            any(image.startswith(f"{head}/") for image in images) for head in heads
        )

    def _strictly(self, split: str, report: ReadReport) -> Iterator[Entry]:
        """The images of each folder that has a table, by that, and the outer ones first.

        Those of other folders are read by texts beside them, if there is no table for all.
        """
        names = [name for several in self._strict.values() for name in several]
        wanted = _one_of(self._told, split, " and ".join(names))
        whole = "." in self._strict
        labels = {} if whole else folder_labels(self._files)
        done: set[str] = set()
        covered: set[str] = set()
        for folder, tables in self._strict.items():
            inside = self._files if folder == "." else self._files.below(folder)
            head = "" if folder == "." else f"{folder}/"
            images = {head + name for name in inside.images}
            if images and images <= done:
                continue
            if len(tables) > 1:
                raise ValueError(f"{self.root} has {' and '.join(tables)}; keep one of them")
            self._used.add(self.root / tables[0])
            table = replace(self._strict_table(tables[0]), split=wanted)
            pictures = replace(self._pictures, root=inside.root, names=inside.images)
            named: set[str] = set()
            sidecars = Sidecars(files=inside, config=self.config) if head else self._sidecars
            for record, fields in table.entries(pictures, report, named, sidecars=sidecars):
                path = head + os.path.relpath(record.file, inside.root)
                if path not in done:
                    label = record.label or labels.get(path)
                    yield replace(record, key=head + record.key, label=label), fields
            done |= {head + name for name in named}
            covered |= images
            self._used.update(sidecars.used())
        rest = set() if whole else set(self._files.images) - covered
        report.unlisted += len(covered - done) + (len(rest) if wanted else 0)
        if rest and not wanted:
            yield from read_sidecars(self._sidecars, report, without=covered)

    def _strict_table(self, name: str) -> Table:
        return Table(
            path=self.root / name,
            image_column=self.config.image_column,
            caption_columns=self.config.caption_columns,
            delimiter=self.config.delimiter,
            encoding=self.config.encoding,
        )


def _one_of(told: Sequence[str], split: str, where: str) -> str:
    """The split to take rows of; empty where tables tell none. Raises ValueError for another."""
    wanted = split_name(split) if told else ""
    if wanted and wanted not in told:
        raise ValueError(f"{where} has no rows of '{split}'; data.split can be {', '.join(told)}")
    return wanted
