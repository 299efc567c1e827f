"""``textok data``: sets of captioned images that textok prepares."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from textok.cli.reading import AS_IT_IS, Reading
from textok.config.data import DataConfig

SHOWN = 5


def data_imagenet(
    source: Annotated[Positional[Path], arg(metavar="SOURCE")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    size: int = 256,
    encoding: Literal["jpeg", "png"] = "jpeg",
    captions: bool = True,
    splits: tuple[str, ...] = ("train", "val"),
    workers: int = 2,
    max_bad_share: float = 0.01,
) -> None:
    """Turn ImageNet into tar shards with class names and captions.

    Example: textok data imagenet ILSVRC2012 data/imagenet-256 --workers 16

    The same command continues where it was stopped.

    Args:
        source: Folder with the official archives, with class folders, or in Kaggle's layout.
        out: Folder of the set: a shard a class in train/ and val/.
        size: Pixels a side, cut at the centre; 0 keeps the files as they are.
        encoding: Of resized images: JPEG of quality 95, or lossless PNG.
        captions: Give each image "a photo of a CLASS"; without, captions are absent.
        splits: train, val or both.
        workers: Processes that read, resize and write.
        max_bad_share: Stop when more than this share of the images cannot be read.
    """
    from textok.datasets.imagenet.build import build_imagenet

    summaries = build_imagenet(
        source,
        out,
        size=size,
        encoding=encoding,
        captions=captions,
        splits=splits,
        workers=workers,
        max_bad_share=max_bad_share,
    )
    for summary in summaries:
        gib = summary.bytes / 2**30
        print(
            f"{summary.split:<6} {summary.images:>9,} images  {summary.classes:>5,} classes  "
            f"{gib:.1f} GiB  {len(summary.bad)} unreadable"
        )
        for key, reason in list(summary.bad.items())[:SHOWN]:
            print(f"  {key}: {reason}")
        if summary.warning():
            print(f"warning: {summary.warning()}")
    print(out)


def data_tiny_imagenet(
    source: Annotated[Positional[Path], arg(metavar="SOURCE")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    max_bad_share: float = 0.01,
) -> None:
    """Turn Tiny ImageNet into tar shards with captions from class names and boxes.

    Example: textok data tiny-imagenet tiny-imagenet-200.zip data/tiny-imagenet

    The same command continues where it was stopped.

    Args:
        source: The published zip, or the folder that it unpacks to.
        out: Folder of the set: train/, val/ (1,000 of the published train) and test/ (its val).
        max_bad_share: Stop when more than this share of the images cannot be read.
    """
    from textok.datasets.tiny_imagenet.build import build_tiny_imagenet

    for summary in build_tiny_imagenet(source, out, max_bad_share=max_bad_share):
        mib = summary.bytes / 2**20
        print(
            f"{summary.split:<6} {summary.images:>9,} images  {summary.classes:>5,} classes  "
            f"{mib:.0f} MiB  {len(summary.bad)} unreadable  {len(summary.missing)} missing  "
            f"{summary.without_box} without a box"
        )
        for key, reason in list(summary.bad.items())[:SHOWN]:
            print(f"  {key}: {reason}")
    print(out)


def data_prepare(
    source: Annotated[Positional[Path], arg(metavar="SOURCE")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    size: int,
    reading: Reading = AS_IT_IS,
    where: str = "",
    captions: str = "",
    val: float = 0.02,
    test: float = 0.06,
    workers: int = 2,
    max_bad_share: float = 0.01,
) -> None:
    """Turn any set of images into square PNG files with splits, without equal ones.

    Example: textok data prepare photos data/photos-64 --size 64 --fit pad

    The same command continues where it was stopped.

    Args:
        source: Folder or tar shards of images.
        out: Folder of the set: PNG files and metadata.jsonl in train/, val/ and test/.
        size: Pixels a side.
        where: Take only records whose metadata match, as in 'style!=openmoji,core=true'.
        captions: File or folder of `textok caption`, instead of the captions beside the images.
        val: Share that becomes val, drawn by key, where the source has no splits.
        test: Share that becomes test, drawn by key, where the source has no splits.
        workers: Processes that read, resize and write; 0: this one.
        max_bad_share: Stop when more than this share of the images cannot be read.
    """
    from textok.datasets.prepare.build import prepare_data

    prepared = prepare_data(
        DataConfig(
            path=str(source),
            where=where,
            captions=captions,
            max_bad_share=max_bad_share,
            **asdict(reading),
        ),
        out,
        size=size,
        val=val,
        test=test,
        workers=workers,
    )
    for split, told in prepared.source.items():
        print(f"source {split}: {told}")
    for split, count in prepared.images.items():
        print(f"{split:<6} {count:>9,} images")
    print(
        f"{prepared.duplicates} with the bytes of another left out, {len(prepared.bad)} "
        f"unreadable, {prepared.without_caption} without a caption, {prepared.classes} classes"
    )
    for key, reason in list(prepared.bad.items())[:SHOWN]:
        print(f"  {key}: {reason}")
    print(out)
