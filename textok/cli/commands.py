"""Every command but training as a typed function, which tyro turns into options and help.

Each imports what it calls when it runs: `textok --help` does not wait for torch.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from textok.cli.decoding import Decoding
from textok.cli.device import pick_device
from textok.cli.findings import findings
from textok.cli.reading import AS_IT_IS, Reading
from textok.config.decoding import AS_TRAINED
from textok.config.networks import FeatureNetworkName

Model = Annotated[str, arg(metavar="MODEL")]
FeatureNetworks = Annotated[tuple[FeatureNetworkName, ...], arg(aliases=["--feature-networks"])]


def extract(
    tokenizer: Annotated[Positional[str], arg(metavar="TOKENIZER")],
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    splits: tuple[str, ...] = ("train", "val"),
    where: str = "",
    reading: Reading = AS_IT_IS,
    captions: str = "",
    class_captions: str = "",
    captions_per_image: int = 0,
    flip: bool = False,
    shard_rows: int = 8192,
    batch_size: int = 64,
    workers: int = 2,
    max_bad_share: float = 0.01,
    text_cache: Path | None = None,
    text_store: Literal["exact", "float8", "nothing"] = "exact",
    text_shard: bool = False,
    device: str = "auto",
) -> None:
    """Write the tokens of captioned images, to train a generator on.

    Example: textok extract products DATA latents --splits train val --flip

    The same command continues where it was stopped.

    Args:
        tokenizer: The bundled 'products', a tokenizer folder or a hub name.
        data: Folder or tar shards of captioned images.
        out: Folder of the latents; the tokenizer is copied into it.
        splits: Sub-folders of the data.
        where: Take only records whose metadata match, as in 'style!=openmoji,core=true'.
        captions: File or folder of `textok caption`, instead of the captions beside the images.
        class_captions: File of `textok captions by-class`, to draw captions from instead.
        captions_per_image: Take the first captions of each image alone; 0 takes all.
        flip: Add the latents of every image mirrored.
        shard_rows: Rows (image and caption) a file.
        batch_size: Rows at once.
        workers: Loader processes.
        max_bad_share: Stop when more than this share of the files cannot be read.
        text_cache: Folder of caption features; OUT/text-cache if not given.
        text_store: What it holds: features as they are, or in float8; or nothing, and each batch's
            captions are encoded when it is their turn.
        text_shard: Share the text encoder out over the processes, instead of copying it to each.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    from textok.config import DataConfig
    from textok.config.check import require
    from textok.extract import extract

    require(
        text_store != "nothing" or text_cache is None,
        f"--text-store is nothing but --text-cache names {text_cache}: leave one of them out",
    )
    indices = extract(
        tokenizer,
        DataConfig(
            path=str(data),
            where=where,
            captions=captions,
            class_captions=class_captions,
            workers=workers,
            max_bad_share=max_bad_share,
            **asdict(reading),
        ),
        out,
        splits=splits,
        captions_per_image=captions_per_image,
        flip=flip,
        shard_rows=shard_rows,
        batch_size=batch_size,
        text_cache=text_cache,
        text_store=text_store,
        text_shard=text_shard,
        device=pick_device(device),
    )
    if os.environ.get("RANK", "0") == "0":  # the first of several processes
        for split, index in indices.items():
            unread = f", {index.unreadable} images unreadable" if index.unreadable else ""
            print(f"{split:<10} {index.rows:>8} rows of {index.images} images{unread}")
        print(out)


def evaluate_reconstruction(
    model: Positional[Model],
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    out: Path,
    split: str = "test",
    where: str = "",
    reading: Reading = AS_IT_IS,
    captions: tuple[Literal["true", "plain", "absent", "shuffled"], ...] = (
        "true",
        "plain",
        "absent",
        "shuffled",
    ),
    caption_files: str = "",
    class_captions: str = "",
    num_tokens: tuple[int, ...] = (),
    num_samples: int | None = None,
    decoding: Decoding = AS_TRAINED,
    seed: int | None = None,
    pca: bool = False,
    feature_network: FeatureNetworks = (),
    feature_weights: Path | None = None,
    limit: int | None = None,
    batch_size: int = 32,
    workers: int = 2,
    max_bad_share: float = 0.01,
    text_cache: Path | None = None,
    pca_cache: Path | None = None,
    device: str = "auto",
) -> None:
    """Measure how well a tokenizer reconstructs captioned images.

    Example: textok evaluate reconstruction products DATA --out report --pca

    Args:
        model: The bundled 'products', a tokenizer folder or a hub name.
        data: Folder or tar shards of captioned images.
        out: Folder for report.json, report.md and sheet.png.
        split: Sub-folder of the data to measure on, where there are splits.
        where: Measure only records whose metadata match, as in 'style!=openmoji,core=true'.
        captions: Which to give: its own, a plain one (the second of several), none, another's.
        caption_files: File or folder of `textok caption`, instead of those beside the images.
        class_captions: File of `textok captions by-class`, to draw captions from instead.
        num_tokens: Budgets to measure (a nested tokenizer takes any up to its own, one that samples
            also 0).
        num_samples: Of each image, by a decoder that samples; 1 if not given. The first is
            measured, and the PSNR of the mean of all.
        seed: Of the first sample, by a decoder that samples, beside the image's key; 0 if not
            given.
        pca: Add PCA with as many bits, fitted on the train split, and the verdict against it.
        feature_network: One or several for Frechet distances: FD-EffLite0, FD-VGG16, FD-AlexNet,
            or FID by Inception. By default FD-EffLite0 and, with LPIPS's weights, FD-VGG16.
        feature_weights: File with a feature network's weights: Inception's, else the first one's.
        limit: Measure this many images, evenly spread.
        batch_size: Images at once.
        workers: Loader processes.
        max_bad_share: Stop when more than this share of the files cannot be read.
        text_cache: Folder of caption features, kept between evaluations.
        pca_cache: Folder of fitted components, kept between evaluations.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    from textok.config import DataConfig
    from textok.evaluate import evaluate_reconstruction

    report = evaluate_reconstruction(
        model,
        DataConfig(
            path=str(data),
            split=split,
            where=where,
            captions=caption_files,
            class_captions=class_captions,
            workers=workers,
            max_bad_share=max_bad_share,
            **asdict(reading),
        ),
        out,
        modes=captions,
        num_tokens=num_tokens or None,
        num_samples=num_samples,
        decoding=decoding,
        seed=seed,
        pca=pca,
        feature_network=feature_network,
        feature_weights=feature_weights,
        device=pick_device(device),
        batch_size=batch_size,
        limit=limit,
        text_cache=text_cache,
        pca_cache=pca_cache,
    )
    if os.environ.get("RANK", "0") == "0":  # the first of several processes
        print(findings(report.to_markdown(), out))


def evaluate_compare(
    reports: Annotated[Positional[tuple[Path, ...]], arg(metavar="REPORT...")],
    *,
    out: Path,
) -> None:
    """Set reports on the same data side by side.

    Example: textok evaluate compare a/report.json b/report.json --out comparison

    A tokenizer with text stands against its baseline; several seeds become an interval.

    Args:
        reports: Files called report.json, made by `textok evaluate reconstruction`.
        out: Folder for comparison.md and comparison.png.
    """
    from textok.evaluate import compare_reports

    print(compare_reports(reports, out))


def data_pictograms(
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    size: Literal[64, 128, 256] = 128,
    tarballs: Path | None = None,
    workers: int = 2,
) -> None:
    """Build a set of 17,000 captioned pictograms from npm packages.

    Example: textok data pictograms data/pictograms-64 --size 64

    The same command continues where it was stopped.

    Args:
        out: Folder of the set.
        size: Pixels a side.
        tarballs: Folder with the packages' tarballs; without it the npm client fetches them.
        workers: Processes that draw.
    """
    from textok.datasets.pictograms.build import build_pictograms

    summary = build_pictograms(out, size=size, tarballs=tarballs, workers=workers)
    for split, styles in summary.pictures.items():
        print(f"{split:<10} {sum(styles.values()):>6} pictures")
    print(out)


def presets() -> None:
    """List the presets that ship with textok.

    Example: textok presets
    """
    from textok.config.presets import preset_names, preset_summary

    names = preset_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {preset_summary(name)}")
