"""How well a tokenizer reconstructs a data set: with the right caption, a wrong one or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from textok.config import DataConfig
from textok.config.check import require
from textok.config.evaluation import CaptionMode, EvaluateReconstructionConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.order import evenly_spaced
from textok.evaluate.baseline import fit_baseline
from textok.evaluate.captions import usable_modes
from textok.evaluate.judges import open_judges
from textok.evaluate.measure import ReconstructionInputs, count_floats, measure
from textok.evaluate.pictures import evaluation_sheet
from textok.evaluate.protocol import describe, warnings
from textok.evaluate.reference import open_reference_for
from textok.evaluate.report import Report
from textok.evaluate.report_folder import report_folder
from textok.metrics.features import load_feature_network
from textok.metrics.image import load_image_metrics
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.pipeline import Reconstructor
from textok.pipeline.memory import check_batch
from textok.runtime.device import check_precision, cuda_products, pick_device
from textok.runtime.processes import join_processes, own_device
from textok.runtime.sheet import save_picture
from textok.tokenizer import Tokenizer


def evaluate_reconstruction(
    config: EvaluateReconstructionConfig, *, pca_data: DataConfig | None = None
) -> Report:
    """Measure a tokenizer; write ``report.json``, ``report.md`` and ``sheet.png`` into ``out``.

    Under ``torchrun`` or ``accelerate launch`` every process calls it, each measures its share of
    the images, and the first one writes. PCA is fitted on ``pca_data``; on the train split of
    ``config.data`` without it.

    Raises ValueError for a model, data or settings that do not fit together.
    """
    device = pick_device(config.device)
    check_precision(device, config.precision)
    with cuda_products(device, tf32=False):
        return _evaluate(config, own_device(device), pca_data)


def _evaluate(
    config: EvaluateReconstructionConfig, device: torch.device, pca_data: DataConfig | None
) -> Report:
    folder = report_folder(config.out)
    folder.check()
    rank, world_size = join_processes()
    cache = config.pca_cache
    if rank == 0 and cache is not None and config.out.resolve() in cache.resolve().parents:
        folder.claim()  # before PCA is written into it
    inputs, of, absent = _open(config, device, pca_data, quiet=rank > 0)
    if rank == 0:
        folder.claim()  # measuring takes long: what is wrong shows now
    rows, count = measure(inputs, batch_size=config.batch_size, rank=rank, world_size=world_size)
    report = Report(
        model=str(config.model),
        settings=dataclasses.asdict(inputs.reconstructor.config),
        metric=inputs.judges.main.metric,
        protocol=describe(inputs, count=count, of=of, absent=absent),
        rows=rows,
        warnings=warnings(inputs, count=count),
        trained_with=list(inputs.judges.trained_with),
        not_comparable=inputs.judges.not_comparable(inputs.metrics),
    )
    if rank == 0:
        report.write(config.out)
        sheet = evaluation_sheet(inputs, rows=config.sheet_rows, title=Path(config.model).name)
        save_picture(sheet, config.out / "sheet.png")
    return report


def _open(
    config: EvaluateReconstructionConfig,
    device: torch.device,
    pca_data: DataConfig | None,
    *,
    quiet: bool,
) -> tuple[ReconstructionInputs, int, list[str]]:
    """What is to be measured, how many images the split has, and what cannot be measured."""
    cache = Path(config.text.cache) if config.text.cache else None
    reconstructor = Reconstructor.from_pretrained(
        config.model, text_cache=cache, device=device, precision=config.precision
    )
    shape = reconstructor.config
    budgets = _budgets(config.num_tokens, reconstructor.tokenizer)
    decoding = shape.sampled_by(config.decoding, seed=config.seed, num_samples=config.num_samples)
    split = open_captioned_images(config.data, image_size=shape.image_size)
    images = evenly(split, config.limit)
    rows = min(config.batch_size, len(images))
    check_batch(rows, shape, device, setting=f"batch_size is {config.batch_size}")
    lite0 = load_efficientnet_lite0().to(device)
    metrics, absent = load_image_metrics(lite0, device, image_size=shape.image_size)
    judges = open_judges(
        config.feature_network,
        weights=config.feature_weights,
        trained_with=reconstructor.tokenizer.trained_with,
        load=partial(load_feature_network, device=device, resizing=config.inception_resizing),
    )
    baseline = None
    require(
        not config.pca or max(budgets) > 0,
        "num_tokens is 0: there is no PCA of no numbers; measure without it",
    )
    if config.pca:
        baseline = fit_baseline(
            pca_data or dataclasses.replace(config.data, split="train"),
            floats=count_floats(shape, max(budgets)),
            device=device,
            cache=config.pca_cache,
            measured=images,
            quiet=quiet,
        )
    modes = config.caption_modes
    usable: Sequence[CaptionMode] = ("absent",) if shape.text == "none" else modes
    found = usable_modes(usable, images.records)
    none = f"{config.data.path} has none of the captions asked for: {', '.join(modes)}"
    require(bool(found), none)
    inputs = ReconstructionInputs(
        reconstructor=reconstructor,
        images=images,
        modes=found,
        budgets=budgets,
        pca=baseline,
        judges=judges,
        metrics=metrics,
        decoding=decoding,
        seed=config.seed or 0,
        num_samples=1 if config.num_samples is None else config.num_samples,
        reference=open_reference_for(config.reference, judges),
        kernel_distance=config.kernel_distance,
    )
    return inputs, len(split), absent


def _budgets(num_tokens: Sequence[int], tokenizer: Tokenizer) -> list[int]:
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
