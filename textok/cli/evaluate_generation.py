"""``textok evaluate generation MODEL DATA --out DIR``."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from textok.cli.commands import FeatureNetworks, Model
from textok.cli.decoding import Decoding
from textok.cli.device import pick_device
from textok.cli.findings import findings
from textok.cli.reading import AS_IT_IS, Reading
from textok.config.decoding import AS_TRAINED
from textok.config.generator import Sampler


def evaluate_generation(
    model: Positional[Model],
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    out: Path,
    split: str = "test",
    where: str = "",
    reading: Reading = AS_IT_IS,
    num_images: int | None = None,
    captions: Literal["true", "plain"] = "true",
    caption_files: str = "",
    class_captions: str = "",
    sampler: Sampler | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    decoding: Decoding = AS_TRAINED,
    decoder_captions: Literal["held_out", "class_name", "none"] = "held_out",
    seed: int = 0,
    feature_network: FeatureNetworks = (),
    feature_weights: Path | None = None,
    clip: str | None = None,
    npz: bool = False,
    limit: int | None = None,
    probe_images: int = 8000,
    batch_size: int = 32,
    workers: int = 2,
    max_bad_share: float = 0.01,
    text_cache: Path | None = None,
    feature_cache: Path | None = None,
    device: str = "auto",
) -> None:
    """Draw for the captions of a split and judge against its images.

    Example: textok evaluate generation products DATA --out report --feature-cache features

    Args:
        model: A pipeline: the bundled 'products', a folder or a hub name.
        data: Folder or tar shards of captioned images; its train split is compared with too.
        out: Folder for report.json, report.md, sheet.png, memorisation.png and distances.png.
        split: Sub-folder of the data to draw for, where there are splits.
        where: Only records whose metadata match, as in 'style!=openmoji,core=true'.
        num_images: Pictures to draw; as many as images without it, 50,000 with --npz.
        captions: Draw by the first caption of each image, or by the second, plain one.
        caption_files: File or folder of `textok caption`, instead of those beside the images.
        class_captions: File of `textok captions by-class`, to draw captions from instead.
        sampler: Instead of the model's own.
        steps: Of the sampler, 1 or more, instead of the model's own.
        guidance: Scale of classifier-free guidance, instead of the model's own.
        temperature: Of the sampler maskgit, instead of the model's own.
        decoder_captions: What the decoder reads of a class: a held-out caption, its name, nothing.
        seed: Of the first picture; the next has the next.
        feature_network: One or several for Frechet distances: FD-EffLite0, FD-VGG16, FD-AlexNet,
            or FID by Inception. By default FD-EffLite0 and, with LPIPS's weights, FD-VGG16.
        feature_weights: File with a feature network's weights: Inception's, else the first one's.
        clip: Folder or hub name of a CLIP model, for the CLIP score.
        npz: Also write samples.npz for the evaluation script of ADM.
        limit: Measure against this many images, evenly spread.
        probe_images: At most this many training images for the probe of alignment or classes.
        batch_size: Pictures at once.
        workers: Loader processes.
        max_bad_share: Stop when more than this share of the files cannot be read.
        text_cache: Folder of caption features, kept between evaluations.
        feature_cache: Folder of real images' features, kept between evaluations.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    from textok.config import DataConfig
    from textok.evaluate import evaluate_generation

    report = evaluate_generation(
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
        num_images=num_images,
        captions=captions,
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        temperature=temperature,
        decoding=decoding,
        decoder_captions=decoder_captions,
        seed=seed,
        feature_network=feature_network,
        feature_weights=feature_weights,
        clip=clip,
        npz=npz,
        limit=limit,
        probe_images=probe_images,
        text_cache=text_cache,
        feature_cache=feature_cache,
        device=pick_device(device),
        batch_size=batch_size,
    )
    if os.environ.get("RANK", "0") == "0":  # the first of several processes
        print(findings(report.to_markdown(), out))
