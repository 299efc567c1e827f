"""How well a tokenizer reconstructs a data set: with the right caption, a wrong one or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from textok.config import DataConfig
from textok.config.check import require, require_range
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.data import CaptionedImages, open_captioned_images
from textok.data.order import evenly_spaced
from textok.evaluate.baseline import fit_baseline
from textok.evaluate.captions import MODES, CaptionMode, usable_modes
from textok.evaluate.judges import open_judges
from textok.evaluate.measure import ReconstructionInputs, count_floats, measure
from textok.evaluate.pictures import MOST_SEED, evaluation_sheet
from textok.evaluate.protocol import describe, warnings
from textok.evaluate.report import Report
from textok.metrics.features import load_feature_network
from textok.metrics.image import load_image_metrics
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.pipeline import Reconstructor
from textok.runtime.processes import join_processes, own_device
from textok.runtime.sheet import save_picture
from textok.tokenizer import Tokenizer


def evaluate_reconstruction(
    model: str | Path,
    data: DataConfig,
    out: Path,
    *,
    modes: Sequence[CaptionMode] = tuple(MODES),
    num_tokens: Sequence[int] | None = None,
    num_samples: int | None = None,
    decoding: DecodingOptions = AS_TRAINED,
    seed: int | None = None,
    pca: bool = False,
    pca_data: DataConfig | None = None,
    pca_cache: Path | None = None,
    feature_network: str | Sequence[str] = (),
    feature_weights: Path | None = None,
    text_cache: Path | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    limit: int | None = None,
    pictures: int = 12,
) -> Report:
    """Measure ``model`` on ``data``; write ``out/report.json``, ``report.md`` and ``sheet.png``.

    Under ``torchrun`` or ``accelerate launch`` every process calls it, each measures its share of
    the images, and the first one writes.

    Args:
        model: ``products``, a tokenizer folder or a hub name.
        modes: which captions to give; those that the data or the tokenizer lack are left out.
        num_tokens: budgets k of a nested tokenizer; all K tokens without it. 0 leaves the caption
            alone to a decoder that samples.
        num_samples: samples of each image by such a decoder: the first is measured, and the PSNR of
            the mean of all; 1 without it.
        decoding: how such a decoder samples, instead of its own way.
        seed: of such a decoder, beside the key of each image; 0 without it.
        pca: add PCA with as many bits and the verdict of the gate.
        pca_data: what PCA is fitted on; the train split of ``data`` without it.
        pca_cache: folder of fitted components, for several evaluations on the same data.
        feature_network: one or several; the first that the tokenizer was not trained against
            judges. By default those that work offline here.
        feature_weights: file of a feature network's weights: inception's, else the first one's.
        text_cache: folder of caption features.
        limit: measure this many images, evenly spaced over the split.
        pictures: rows of the sheet.

    Raises ValueError for a model, data or settings that do not fit together.
    """
    require_range("batch_size", batch_size, 1)
    rank, world_size = join_processes()
    device = own_device(device)
    reconstructor = Reconstructor.from_pretrained(model, text_cache=text_cache, device=device)
    config = reconstructor.config
    budgets = _budgets(num_tokens, reconstructor.tokenizer)
    decoded = config.sampled_by(decoding, seed=seed, num_samples=num_samples)
    seed, num_samples = seed or 0, 1 if num_samples is None else num_samples
    require_range("num_samples", num_samples, 1)
    require_range("seed", seed, 0, MOST_SEED)
    split = open_captioned_images(data, image_size=config.image_size)
    images = evenly(split, limit)
    lite0 = load_efficientnet_lite0().to(device)
    metrics, absent = load_image_metrics(lite0, device, image_size=config.image_size)
    judges = open_judges(
        feature_network,
        weights=feature_weights,
        trained_with=reconstructor.tokenizer.trained_with,
        load=partial(load_feature_network, device=device),
    )
    baseline = None
    require(
        not pca or max(budgets) > 0,
        "num_tokens is 0: there is no PCA of no numbers; measure without it",
    )
    if pca:
        baseline = fit_baseline(
            pca_data or dataclasses.replace(data, split="train"),
            floats=count_floats(config, max(budgets)),
            device=device,
            cache=pca_cache,
            measured=images,
            quiet=rank > 0,
        )
    inputs = ReconstructionInputs(
        reconstructor=reconstructor,
        images=images,
        modes=["absent"] if config.text == "none" else usable_modes(modes, images.records),
        budgets=budgets,
        pca=baseline,
        judges=judges,
        metrics=metrics,
        decoding=decoded,
        seed=seed,
        num_samples=num_samples,
    )
    if not inputs.modes:
        raise ValueError(f"{data.path} has none of the captions asked for: {', '.join(modes)}")
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)  # measuring takes long: what is wrong shows now
    rows, count = measure(inputs, batch_size=batch_size, rank=rank, world_size=world_size)
    report = Report(
        model=str(model),
        settings=dataclasses.asdict(config),
        metric=judges.main.metric,
        protocol=describe(inputs, count=count, of=len(split), absent=absent),
        rows=rows,
        warnings=warnings(inputs, count=count),
        trained_with=list(judges.trained_with),
        not_comparable=judges.not_comparable(metrics),
    )
    if rank == 0:
        report.write(out)
        sheet = evaluation_sheet(inputs, rows=pictures, title=Path(model).name)
        save_picture(sheet, out / "sheet.png")
    return report


def _budgets(num_tokens: Sequence[int] | None, tokenizer: Tokenizer) -> list[int]:
    fewest, limit = tokenizer.fewest_tokens, tokenizer.config.num_tokens
    budgets = sorted(set(num_tokens or [limit]))
    if budgets[0] < fewest or budgets[-1] > limit:
        raise ValueError(f"num_tokens {budgets}: this tokenizer has {fewest} to {limit}")
    return budgets


def evenly(images: CaptionedImages, limit: int | None) -> CaptionedImages:
    """``limit`` images, evenly spaced over all of them, since neighbours are often alike."""
    count = len(images) if limit is None else min(limit, len(images))
    if count < 2:
        raise ValueError(f"a Frechet distance needs at least 2 images, not {count}")
    kept = [images.records[index] for index in evenly_spaced(len(images), count)]
    return dataclasses.replace(images, records=kept)
