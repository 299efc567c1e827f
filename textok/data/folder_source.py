"""A folder of captioned images, or of one split of them: tables, or texts beside the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from textok.config.data import DataConfig
from textok.data.advice import is_strict, require_images, unread_captions
from textok.data.folder import TABLES, FolderFiles, list_folder
from textok.data.pictures import PictureFiles
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.shards import read_shards
from textok.data.sidecars import Sidecars, folder_labels, read_sidecars
from textok.data.source import Source
from textok.data.splits import SplitFolders, split_name
from textok.data.table import Table
from textok.data.table_place import FoundTable, find_tables


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """The images below ``root``, by the first rule that fits.

    1. Tar files: shards.
    2. One of ``TABLES`` in the folder, or in folders of it: that table, read strictly.
    3. Another table that names the images and has captions, there or above a split.
    4. Texts beside the images, or in folders of texts beside those of images.
    """

    config: DataConfig
    root: Path
    whole: SplitFolders | None = None
    """The set that it is a split of."""

    def source(self) -> Source:
        """With the splits that tables tell of, by a column ``split`` or by their own names."""
        if self.check_one_convention() or self._strict:
            return Source(read=self.read)
        found = [one for one in self._found if one.has_captions]
        named = {split for one in found for split in one.splits}
        if not named and len(found) > 1:
            named = {one.split for one in found if one.split}
        return Source(read=self.read, splits=tuple(sorted(named)) if len(named) > 1 else ())

    def read(self, split: str, report: ReadReport) -> Iterator[Entry]:
        """The records of the folder; of ``split`` alone where tables tell them apart."""
        if self.check_one_convention():
            yield from read_shards(sorted(self.root.glob("*.tar")), self.config, report)
            return
        self._files.tell(report)
        require_images(self._files)
        inner = [name for name in self._files.others if is_strict(name)]
        found = self._table_of(split) if not inner else None
        if inner:
            yield from self._strictly(inner, report)
        elif found is not None:
            yield from self._by_table(found, split, report)
        else:
            yield from read_sidecars(self._sidecars, report)
        used = self._sidecars.used() | (set() if found is None else {found.path})
        report.unread += unread_captions(self._files, self._around, used)

    def check_one_convention(self) -> bool:
        """Whether the folder is of shards. Raises ValueError for one that has tables as well."""
        shards = sorted(self.root.glob("*.tar"))
        if len(self._strict) + bool(shards) > 1:
            names = [path.name for path in (*shards[:1], *self._strict)]
            raise ValueError(f"{self.root} has {' and '.join(names)}; keep one of them")
        return bool(shards)

    @cached_property
    def _strict(self) -> list[Path]:
        return [self.root / name for name in TABLES if (self.root / name).is_file()]

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
        beside = self._sidecars.beside()
        found = find_tables(self._files, beside, self._pictures, self.config)
        if self._around is not None:
            found += find_tables(self._around, (), self._pictures, self.config)
        return found

    def _table_of(self, split: str) -> FoundTable | None:
        """The one table with captions, or else with classes. Raises ValueError for several."""
        fitting = [one for one in self._found if one.is_of(split)]
        captioned = [one for one in fitting if one.has_captions]
        if len(captioned) > 1:
            names = " and ".join(one.name for one in captioned[:2])
            raise ValueError(
                f"{self.root}: {names} both have captions of its images; name one with data.table, "
                "or keep one"
            )
        labelled = [one for one in fitting if one.has_labels]
        return next(iter(captioned or labelled[:1]), None)

    def _by_table(self, found: FoundTable, split: str, report: ReadReport) -> Iterator[Entry]:
        report.reads_from.append(found.description())
        wanted = split_name(split) if found.splits else ""
        if wanted and wanted not in found.splits:
            raise ValueError(
                f"{found.name} has no rows of '{split}'; data.split can be "
                f"{', '.join(found.splits)}"
            )
        shared = self.root not in found.path.parents
        table = replace(found.table, split=wanted, shared=shared)
        yield from table.read(self._pictures, report, sidecars=self._sidecars)

    def _strictly(self, tables: list[str], report: ReadReport) -> Iterator[Entry]:
        """The images of each folder that has a table, by that; the others by texts beside them."""
        folders = {str(PurePosixPath(name).parent): name for name in tables}
        if "." in folders:
            yield from self._strict_table(folders["."]).read(
                self._pictures, report, sidecars=self._sidecars
            )
            return
        labels = folder_labels(self._files)
        for folder, name in folders.items():
            inside = self._files.below(folder)
            pictures = replace(self._pictures, root=inside.root, names=inside.images)
            sidecars = Sidecars(files=inside, config=self.config)
            own = self._strict_table(name).read(pictures, report, sidecars=sidecars)
            for record, fields in own:
                label = labels.get(f"{folder}/{record.file.relative_to(inside.root).as_posix()}")
                key = f"{folder}/{record.key}"
                yield replace(record, key=key, label=record.label or label), fields
        for record, fields in read_sidecars(self._sidecars, report):
            if not any(record.key.startswith(f"{folder}/") for folder in folders):
                yield record, fields

    def _strict_table(self, name: str) -> Table:
        return Table(
            path=self.root / name,
            image_column=self.config.image_column,
            caption_columns=self.config.caption_columns,
            delimiter=self.config.delimiter,
            encoding=self.config.encoding,
        )
