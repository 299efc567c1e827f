"""One split on its way to the disk: which shards are there, the making of the others, the index.

A shard depends on the settings stored in it and on nothing else, so that any process may make it
in any run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from textok.config.networks import RunPrecision
from textok.data import CaptionedImages
from textok.data.pixels import to_tensor
from textok.extract.rows import Pictures, RowPlan, read_pictures
from textok.latents.features import PictureFeatures
from textok.latents.index import INDEX, LatentIndex, write_index
from textok.latents.scale import LatentScale
from textok.latents.shard import (
    LatentRow,
    LatentShard,
    Settings,
    open_shard,
    shard_path,
    write_shard,
)
from textok.metrics.feature_network import FeatureNetwork
from textok.pipeline import Reconstructor
from textok.runtime.counter import counter
from textok.runtime.device import run_in
from textok.types import Latents

DATA, LIST, SIZES = "data", "list of keys, captions and labels", "list of the sizes of the images"
"""Images with the same lists are the same, wherever they lie."""
USUAL: Settings = {"precision": "fp32", "fit": "crop", "resize": "lanczos"}
"""What shards were made with that do not say: those of older versions."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows, the folder of their latents, and what these depend on."""

    plan: RowPlan
    folder: Path
    settings: Settings
    """What another shard would come of, by the names that the command has for it."""
    shard_rows: int
    batch_size: int

    @cached_property
    def shards(self) -> list[tuple[Path, range]]:
        """File and rows of every shard."""
        parts = cut(range(len(self.plan)), self.shard_rows)
        return [(shard_path(self.folder, number), part) for number, part in enumerate(parts)]

    def there(self) -> dict[Path, LatentShard]:
        """The shards that can be opened. Raises ValueError for one of other settings."""
        there = {}
        for path, _ in self.shards:
            try:
                there[path] = open_shard(path, verify=True)
            except ValueError:
                continue
            then = there[path].settings
            check_same(self.folder, found=then, requested=self.settings)
            if then[DATA] != self.settings[DATA]:
                _LOGGER.info(
                    "%s: the images were in %s and are in %s, the same %d",
                    self.folder,
                    then[DATA],
                    self.settings[DATA],
                    len(self.plan.images),
                )
        return there

    def make(
        self,
        reconstructor: Reconstructor,
        *,
        rank: int,
        world_size: int,
        features: FeatureNetwork | None = None,
    ) -> None:
        """Make every shard i = rank (mod world_size) that is not there or not whole."""
        images, there = self.plan.images, self.there()
        own = self.shards[rank::world_size]
        whole = {path for path, _ in own if path in there and there[path].whole}
        todo = [(path, rows) for path, rows in own if path not in whole]
        if not todo:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / INDEX).unlink(missing_ok=True)
        batches = [batch for _, rows in todo for batch in cut(rows, self.batch_size)]
        read = read_pictures(self.plan, batches, workers=images.config.workers)
        left, total = sum(len(rows) for _, rows in todo), sum(len(rows) for _, rows in own)
        what = f"latents of {self.folder.name}"
        with counter(what, total=total, done=total - left, shown=rank == 0) as count:
            for path, rows in todo:
                parts: list[Latents] = []
                seen: list[PictureFeatures] = []
                about: list[LatentRow] = []
                bad: dict[str, str] = {}
                for batch in cut(rows, self.batch_size):
                    pictures = next(read)
                    images.note_bad(pictures.bad)
                    parts.append(encode(reconstructor, pictures))
                    if features is not None:
                        seen.append(extract_features(features, pictures, reconstructor))
                    about += pictures.rows
                    bad |= pictures.bad
                    count(len(batch))
                write_shard(
                    path,
                    _join(parts),
                    about,
                    settings=self.settings,
                    unreadable=bad,
                    features=PictureFeatures.cat(seen) if seen else None,
                )

    def complete(
        self,
        tokenizer: str,
        reconstructor: Reconstructor,
        *,
        features: FeatureNetwork | None = None,
    ) -> None:
        """Write the index, once every shard is there; ``tokenizer`` is the name it was given by.

        Raises ValueError where too many images could not be read by all processes together.
        """
        images, config = self.plan.images, reconstructor.config
        shards = [open_shard(path) for path, _ in self.shards]
        unreadable = {key: why for shard in shards for key, why in shard.unreadable.items()}
        images.note_bad(unreadable)
        rows = sum(map(len, shards))
        if not rows:
            raise ValueError(f"data.path {images.config.path}: no image that can be read")
        scale = LatentScale.measured(shard.latents for shard in shards)
        index = LatentIndex(
            num_tokens=config.num_tokens,
            channels=config.channels,
            codebook_size=config.codebook_size,
            image_size=config.image_size,
            features="" if features is None else features.name,
            feature_width=0 if features is None else features.width,
            tokenizer=tokenizer,
            tokenizer_sha256=str(self.settings["tokenizer"]),
            precision=reconstructor.precision,
            data=images.config.path,
            where=images.config.where,
            fit=images.config.fit,
            resize=images.config.resize,
            flip=bool(self.settings["flip"]),
            not_mirrored=self.plan.not_mirrored,
            classes=images.classes,
            images=len(images) - len(unreadable),
            unreadable=len(unreadable),
            rows=rows,
            shards=[len(shard) for shard in shards],
            mean=scale.mean.tolist(),
            std=scale.std.tolist(),
        )
        write_index(self.folder, index)


def plan_split(
    images: CaptionedImages,
    folder: Path,
    *,
    sha256: str,
    precision: RunPrecision = "fp32",
    flip: bool,
    shard_rows: int,
    batch_size: int,
    float8: bool = False,
    features: str | None = None,
) -> Split:
    """The split of ``images`` in ``folder``, with the tokenizer whose weights have ``sha256``.

    The tokenizer runs in ``precision``. With ``float8`` the features of its captions are rounded;
    ``features`` says which ones of the images are stored. Raises ValueError where the folder holds
    latents of other settings, before anything is written.
    """
    plan = RowPlan(images, flip=flip)
    settings: Settings = {
        "tokenizer": sha256,
        DATA: images.config.path,
        "where": images.config.where,
        "flip": flip,
        "shard-rows": shard_rows,
        LIST: plan.digest(),
        SIZES: plan.sizes_digest(),
        "precision": precision,
        "fit": images.config.fit,
        "resize": images.config.resize,
        **({"text-store": "float8"} if float8 else {}),
        **({"features": features} if features else {}),
        **({"captions not mirrored": plan.not_mirrored} if plan.not_mirrored else {}),
    }
    split = Split(
        plan=plan, folder=folder, settings=settings, shard_rows=shard_rows, batch_size=batch_size
    )
    split.there()
    return split


def encode(reconstructor: Reconstructor, pictures: Pictures) -> Latents:
    """Latents of each row as shards hold them; where no text is read, each image once."""
    images = to_tensor(pictures.pixels.to(reconstructor.device))
    places = pictures.places.to(reconstructor.device)
    if reconstructor.config.encoder_reads_text:
        latents = reconstructor.encode(images[places], [row.caption for row in pictures.rows])
    else:
        latents = reconstructor.encode(images)[places]
    return Latents(
        mean=latents.mean.half().cpu(),
        logvar=None if latents.logvar is None else latents.logvar.half().cpu(),
        codes=None if latents.codes is None else latents.codes.int().cpu(),
    )


@torch.no_grad()
def extract_features(
    network: FeatureNetwork, pictures: Pictures, reconstructor: Reconstructor
) -> PictureFeatures:
    """Those of each image once, on the device and in the precision of the ``reconstructor``."""
    device, values = reconstructor.device, torch.empty(0, network.width)
    if len(pictures.pixels):
        with run_in(device, reconstructor.precision):
            values = network.extract(to_tensor(pictures.pixels.to(device)))
    return PictureFeatures(values=values.half().cpu(), pictures=pictures.places.int())


def _join(parts: Sequence[Latents]) -> Latents:
    logvars = [part.logvar for part in parts if part.logvar is not None]
    codes = [part.codes for part in parts if part.codes is not None]
    return Latents(
        mean=torch.cat([part.mean for part in parts]),
        logvar=torch.cat(logvars) if logvars else None,
        codes=torch.cat(codes) if codes else None,
    )


def check_same(folder: Path, *, found: Settings, requested: Settings) -> None:
    """Raise ValueError naming the first setting that the latents ``found`` were not made with.

    Images may have moved. Latents of earlier versions have no sizes to know them again by.
    """
    found, requested = {**USUAL, **found}, {**USUAL, **requested}
    known = SIZES in found and all(found.get(name) == requested.get(name) for name in (LIST, SIZES))
    ignored = DATA if known else None if SIZES in found else SIZES
    for name in (*requested, *found):
        if name != ignored and found.get(name) != requested.get(name):
            raise ValueError(
                f"{folder} holds latents of another {name}: {_short(found.get(name))}, not "
                f"{_short(requested.get(name))}; set it back to continue them, or choose another "
                "folder"
            )


def cut(rows: range, size: int) -> Iterator[range]:
    """``rows`` in parts of ``size``."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _short(value: object) -> str:
    """A value as it is, or the first digits of a checksum."""
    text = str(value)
    return f"{text[:8]}..." if len(text) == 64 else repr(value)
