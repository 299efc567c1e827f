"""``textok data``: sets of captioned images that textok prepares."""

from __future__ import annotations

from collections.abc import Mapping

from textok.config.datasets import (
    CheckConfig,
    ExportConfig,
    ImageNetConfig,
    PictogramsConfig,
    PrepareConfig,
    TinyImageNetConfig,
)

SHOWN = 5


def data_pictograms(config: PictogramsConfig) -> None:
    """Build a set of 17,000 captioned pictograms from npm packages.

    Example: textok data pictograms data/pictograms-64 --size 64

    The same command continues where it was stopped.
    """
    from textok.datasets.pictograms.build import build_pictograms

    for split, styles in build_pictograms(config).pictures.items():
        print(f"{split:<10} {sum(styles.values()):>6} images")
    print(config.out)


def data_imagenet(config: ImageNetConfig) -> None:
    """Turn ImageNet into tar shards with class names and captions.

    Example: textok data imagenet ILSVRC2012 data/imagenet-256 --workers 16

    The same command continues where it was stopped.
    """
    from textok.datasets.imagenet.build import build_imagenet

    for summary in build_imagenet(config):
        gib = summary.bytes / 2**30
        print(
            f"{summary.split:<6} {summary.images:>9,} images  {summary.classes:>5,} classes  "
            f"{gib:.1f} GiB  {len(summary.bad)} unreadable"
        )
        _print_bad(summary.bad)
        if summary.warning():
            print(f"warning: {summary.warning()}")
    print(config.out)


def data_tiny_imagenet(config: TinyImageNetConfig) -> None:
    """Turn Tiny ImageNet into tar shards with captions from class names and boxes.

    Example: textok data tiny-imagenet tiny-imagenet-200.zip data/tiny-imagenet

    The same command continues where it was stopped.
    """
    from textok.datasets.tiny_imagenet.build import build_tiny_imagenet

    summaries = build_tiny_imagenet(config.source, config.out, max_bad_share=config.max_bad_share)
    for summary in summaries:
        mib = summary.bytes / 2**20
        print(
            f"{summary.split:<6} {summary.images:>9,} images  {summary.classes:>5,} classes  "
            f"{mib:.0f} MiB  {len(summary.bad)} unreadable  {len(summary.missing)} missing  "
            f"{summary.without_box} without a box"
        )
        _print_bad(summary.bad)
    print(config.out)


def data_check(config: CheckConfig) -> None:
    """Say what would be read of a set: images, captions, classes, and what is left out and why.

    Example: textok data check photos

    Nothing is trained or written but a sheet of images with their captions. --json prints an
    object with images, with_captions, captions, classes, splits, left_out and messages.
    """
    from textok.datasets.check import check_data

    print(check_data(config))


def data_prepare(config: PrepareConfig) -> None:
    """Turn any set of images into square PNG files with splits, without equal ones.

    Example: textok data prepare photos data/photos-64 --size 64 --fit pad

    The same command continues where it was stopped.
    """
    from textok.datasets.prepare.build import prepare_data

    prepared = prepare_data(config)
    for split, told in prepared.source.items():
        print(f"source {split}: {told}")
    for split, count in prepared.images.items():
        print(f"{split:<6} {count:>9,} images")
    print(
        f"{prepared.duplicates} with the bytes of another left out, {len(prepared.bad)} "
        f"unreadable, {prepared.without_caption} without a caption, {prepared.classes} classes"
    )
    _print_bad(prepared.bad)
    print(config.out)


def data_export(config: ExportConfig) -> None:
    """Write any set as parquet for the Hugging Face hub, as WebDataset or as a folder.

    Example: textok data export photos exported --to webdataset

    Images keep their bytes. The same command continues where it was stopped.
    """
    from textok.datasets.export import export_data

    exported = export_data(config)
    for split in exported.splits:
        mib = split.bytes / 2**20
        files = f"{split.shards} shards  " if config.to != "folder" else ""
        print(
            f"{split.name:<10} {split.images:>9,} images  {files}{mib:.1f} MiB  "
            f"{len(split.bad)} unreadable"
        )
        _print_bad(split.bad)
    print(config.out)


def _print_bad(bad: Mapping[str, str]) -> None:
    """The first files that could not be read, and why."""
    for key, reason in list(bad.items())[:SHOWN]:
        print(f"  {key}: {reason}")
