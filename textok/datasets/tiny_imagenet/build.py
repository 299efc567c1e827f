"""All labelled images to tar shards: choose the splits, write, count."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.check import require, require_range
from textok.data.pixels import BadImageError, decode
from textok.data.report import ReadReport
from textok.datasets.place import BUILD, own_folder, write_note
from textok.datasets.tiny_imagenet.captions import captions_of, layout
from textok.datasets.tiny_imagenet.place import Place
from textok.datasets.tiny_imagenet.source import Picture, read_published
from textok.runtime.counter import counter
from textok.runtime.files import atomic_write, write_text
from textok.runtime.notes import read_note
from textok.runtime.pretrained import read_json

NOTE = "recipe.json"
RECIPE = {"set": "Tiny ImageNet", "version": 1}
"""Raised when captions or fields change, so that shards of before are not mixed with new ones."""
VAL_IMAGES = 1_000
MAX_VAL_SHARE = 0.1
SHARD_IMAGES = 10_000
WHOLE = 16_384
"""Pixels a side up to which JPEGs are decoded at full size: the box is measured in them."""


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Counts of a finished split; also written as SPLIT/summary.json."""

    split: str
    classes: int
    images: int
    bytes: int
    without_box: int
    missing: list[str]
    """Images that a published list names but that are not there."""
    bad: dict[str, str]
    """Why an image was left out, by its name."""


@dataclass(frozen=True, kw_only=True)
class _Written:
    """What a finished shard holds; written after it, so that a shard without it is not finished."""

    source: str
    images: int
    bytes: int
    without_box: int
    bad: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """Some images of a split, to write to one file."""

    split: str
    number: int
    pictures: Sequence[Picture]
    out: Path

    @property
    def path(self) -> Path:
        return self.out / self.split / f"{self.split}-{self.number:02d}.tar"

    @property
    def note(self) -> Path:
        return self.out / BUILD / f"{self.path.stem}.json"

    def source(self, place: Place) -> str:
        """A digest of what it is made of, but for the pixels."""
        made_of = [(asdict(picture), place.sizes[picture.path]) for picture in self.pictures]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def finished(self, place: Place) -> _Written | None:
        """What an earlier run wrote from the same images."""
        written = read_note(self.note, _Written)
        if written is None or not self.path.is_file():
            return None
        same = written.source == self.source(place) and written.bytes == self.path.stat().st_size
        return written if same else None


def build_tiny_imagenet(
    source: Path, out: Path, *, max_bad_share: float = 0.01, progress: bool = True
) -> list[SplitSummary]:
    """Write Tiny ImageNet to ``out``/{train,val,test}, or continue a run that was interrupted.

    ``test`` is the published val; ``val`` is a fixed choice of 1,000 of the published train, as
    many of each class (5 of 200 classes), and a tenth of a class at most. The published test
    folder has no classes and is left out. Files keep their bytes. The shards are the same whether
    ``source`` is the zip or the folder, and wherever an earlier run was stopped.

    Raises:
        ValueError: ``source`` is not Tiny ImageNet, or ``out`` holds something else.
        BadFilesError: more than ``max_bad_share`` of the images are missing or unreadable.
    """
    require_range("max_bad_share", max_bad_share, 0, 1)
    _check_place(out)
    published = read_published(source)
    train, val = choose_val(published.train)
    splits = {"train": train, "val": val, "test": published.val}
    missing = {"train": published.missing["train"], "val": [], "test": published.missing["val"]}
    report = ReadReport(images=sum(map(len, splits.values())))
    report.missing |= {name: "in a list, not there" for some in missing.values() for name in some}
    report.check_share(max_bad_share)
    write_note(out, NOTE, json.dumps(RECIPE))
    for split in splits:
        (out / split).mkdir(parents=True, exist_ok=True)
    summaries = []
    with counter("images", total=report.images, shown=progress) as advance:
        for split, pictures in splits.items():
            done = []
            for shard in _shards(split, pictures, out):
                written = shard.finished(published.place)
                if written is None:
                    written = _write(shard, published.place, advance)
                else:
                    advance(len(shard.pictures))
                report.bad |= written.bad
                report.check_share(max_bad_share)
                done.append(written)
            _discard_others(out, split, len(done))
            summaries.append(_summarise(out, split, pictures, done, missing[split]))
    return summaries


def choose_val(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Train and val images, in their order; val has those of the smallest hashes."""
    by_class: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_class[picture.of.wnid].append(picture)
    each = max(1, round(VAL_IMAGES / len(by_class)))
    chosen: set[str] = set()
    for own in by_class.values():
        count = min(each, max(int(MAX_VAL_SHARE * len(own)), int(len(own) > 1)))
        chosen.update(picture.path for picture in sorted(own, key=_draw)[:count])
    train = [picture for picture in pictures if picture.path not in chosen]
    return train, [picture for picture in pictures if picture.path in chosen]


def _draw(picture: Picture) -> str:
    return hashlib.sha256(f"val {picture.name}".encode()).hexdigest()


def _check_place(out: Path) -> None:
    note = out / BUILD / NOTE
    if note.is_file():
        there = read_json(note)
        require(there == RECIPE, f"{out}: was made as {there}; choose another folder")
        return
    own_folder(out, note=NOTE, kind="a Tiny ImageNet").check()


def _shards(split: str, pictures: Sequence[Picture], out: Path) -> Iterator[_Shard]:
    for number, start in enumerate(range(0, len(pictures), SHARD_IMAGES)):
        some = pictures[start : start + SHARD_IMAGES]
        yield _Shard(split=split, number=number, pictures=some, out=out)


def _discard_others(out: Path, split: str, count: int) -> None:
    """Delete the shards beyond ``count`` that an earlier run made of more images."""
    for path in sorted((out / split).glob(f"{split}-*.tar")):
        number = path.stem.removeprefix(f"{split}-")
        if number.isdecimal() and int(number) >= count:
            path.unlink()
            path.with_name(f"{path.name}.index.json").unlink(missing_ok=True)
            (out / BUILD / f"{path.stem}.json").unlink(missing_ok=True)


def _write(shard: _Shard, place: Place, advance: Callable[[int], None]) -> _Written:
    for leftover in shard.path.parent.glob(f".{shard.path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)
    bad: dict[str, str] = {}
    boxless = 0
    with (
        atomic_write(shard.path, shared=True, flush=True) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for picture in shard.pictures:
            advance(1)
            try:
                data = place.read(picture.path)
                width, height = decode(data, size=WHOLE).size
            except (BadImageError, OSError) as error:
                bad[picture.name] = str(error)
                continue
            boxless += picture.box is None
            suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
            facts = json.dumps(_facts(picture, width, height), ensure_ascii=False)
            for name, content in ((suffix, data), (".json", facts.encode())):
                info = tarfile.TarInfo(f"{picture.name}{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    written = _Written(
        source=shard.source(place),
        images=len(shard.pictures) - len(bad),
        bytes=shard.path.stat().st_size,
        without_box=boxless,
        bad=bad,
    )
    write_text(shard.note, json.dumps(asdict(written)))
    return written


def _facts(picture: Picture, width: int, height: int) -> dict[str, object]:
    """The JSON of an image: captions, class, names and, where there is a box, size and place."""
    seen = None if picture.box is None else layout(picture.box, width, height)
    facts: dict[str, object] = {
        "captions": captions_of(picture, seen),
        "label": picture.of.label,
        "wnid": picture.of.wnid,
        "class": picture.of.label,
        "names": list(picture.of.names),
    }
    if seen is not None and picture.box is not None:
        facts |= {"box": list(picture.box), "size": seen.size, "place": seen.place}
    return facts


def _summarise(
    out: Path,
    split: str,
    pictures: Sequence[Picture],
    done: Sequence[_Written],
    missing: Sequence[str],
) -> SplitSummary:
    summary = SplitSummary(
        split=split,
        classes=len({picture.of.wnid for picture in pictures}),
        images=sum(written.images for written in done),
        bytes=sum(written.bytes for written in done),
        without_box=sum(written.without_box for written in done),
        missing=sorted(missing),
        bad={name: reason for written in done for name, reason in written.bad.items()},
    )
    write_text(out / split / "summary.json", json.dumps(asdict(summary), indent=1) + "\n")
    return summary
