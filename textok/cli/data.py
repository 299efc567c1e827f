"""``textok data``: sets of captioned images that textok prepares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

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
    from textok.data.imagenet.build import build_imagenet

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
    from textok.data.tiny_imagenet.build import build_tiny_imagenet

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
