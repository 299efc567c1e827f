"""How good drawn pictures are: like real ones, as varied, true to their captions, no copies."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import torch

from textok.config.check import require, require_range
from textok.config.evaluation import CaptionMode, EvaluateGenerationConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.evaluate.drawn import PICTURES, draw
from textok.evaluate.export import write_npz
from textok.evaluate.generation_protocol import describe_generation, generation_warnings
from textok.evaluate.generation_report import GenerationReport
from textok.evaluate.generation_scores import measure_reference, score_pictures
from textok.evaluate.generation_sheets import memorisation_sheet, sample_sheet
from textok.evaluate.generation_task import GenerationTask
from textok.evaluate.image_features import training_images
from textok.evaluate.judges import open_judges
from textok.evaluate.memorisation import plot_distances
from textok.evaluate.painter import Painter, load_painter
from textok.evaluate.reconstruction import evenly
from textok.evaluate.samples import Samples, samples_by_caption, samples_by_class
from textok.evaluate.text_alignment import Embed, caption_embedder
from textok.metrics.clip_score import load_clip_score
from textok.metrics.features import FeatureNetwork, load_feature_network
from textok.metrics.inception_score import SPLITS
from textok.metrics.precision_recall import NEIGHBOURS
from textok.runtime.device import pick_device
from textok.runtime.files import remove_folder
from textok.runtime.processes import gather, join_processes, own_device
from textok.runtime.sheet import save_picture

NPZ_PICTURES = 50_000
"""Pictures that the evaluation script of ADM expects."""
FOLDER = ".drawn"


def evaluate_generation(
    config: EvaluateGenerationConfig, *, painter: Painter | None = None
) -> GenerationReport:
    """Generate for the captions or classes of a split and judge; all goes into ``out``.

    Writes ``report.json``, ``report.md``, ``sheet.png``, ``memorisation.png`` and
    ``distances.png``, with ``npz`` also ``samples.npz``. What is drawn is kept in ``out/.drawn``
    until the report is written: the same call goes on after an interruption. Under ``torchrun`` or
    ``accelerate launch`` every process calls it and draws its share; the first one writes.

    ``painter`` stands in for the pipeline ``model``, and samples as it was made to.

    Raises ValueError for a model, data or settings that do not fit together.
    """
    device = pick_device(config.device)
    rank, _ = join_processes()
    task = _open(config, own_device(device), painter)
    if rank == 0:
        config.out.mkdir(parents=True, exist_ok=True)  # drawing takes long: errors show now
    return _judge(task, config)


def _open(
    config: EvaluateGenerationConfig, device: torch.device, painter: Painter | None
) -> GenerationTask:
    """Everything that is needed, opened before anything is drawn."""
    painter = painter or load_painter(
        config.model,
        sampling=config.sampling,
        decoding=config.decoding,
        decoder_captions=config.decoder_captions,
        device=device,
    )
    judges = open_judges(
        config.feature_network,
        weights=config.feature_weights,
        trained_with=painter.trained_with,
        load=partial(load_feature_network, device=device),
    )
    split = open_captioned_images(config.data, image_size=painter.image_size)
    images = evenly(split, config.limit)
    training = training_images(images)
    few = f"{config.data.path}: {len(images)} images are too few to judge by"
    require(len(images) > NEIGHBOURS, few)
    count = config.num_images
    if count is None:
        count = NPZ_PICTURES if config.npz else len(images)
    absent = _absent(painter, judges.main, training, config.clip)
    clip = None
    if config.clip is not None and not painter.classes:
        clip = load_clip_score(config.clip, device=device)
    cache = Path(config.text.cache) if config.text.cache else None
    mode = config.caption_mode
    return GenerationTask(
        painter=painter,
        samples=_samples(painter, images, count=count, mode=mode, seed=config.seed),
        mode=mode,
        images=images,
        of=len(split),
        training=training,
        judges=judges,
        clip=clip,
        embed=_embedder(painter, cache, device, absent),
        probe_images=config.probe_images,
        absent=absent,
        device=device,
        batch_size=config.batch_size,
    )


def _judge(task: GenerationTask, config: EvaluateGenerationConfig) -> GenerationReport:
    """Draw, measure and write; every process gets the report of the first."""
    out = config.out
    drawn = draw(task, out / FOLDER)
    reference = measure_reference(task, config.feature_cache)
    report = None
    if join_processes()[0] == 0:
        scores, near = score_pictures(task, drawn, reference)
        report = GenerationReport(
            model=task.painter.name,
            settings=dict(task.painter.settings),
            metric=task.network.metric,
            protocol=describe_generation(task, reference, scores),
            scores=scores,
            warnings=generation_warnings(task, reference),
            trained_with=list(task.judges.trained_with),
            not_comparable=task.judges.not_comparable(),
        )
        sheet = sample_sheet(task, drawn, pictures=config.sheet_rows)
        save_picture(sheet, out / "sheet.png")
        if near is not None:
            save_picture(memorisation_sheet(task, drawn, near), out / "memorisation.png")
            first = (near.drawn.distances[:, 0], near.real.distances[:, 0])
            plot_distances(*first, out / "distances.png")
        if config.npz:
            write_npz(
                out / "samples.npz",
                drawn.store.pieces(PICTURES),
                count=len(task.samples),
                image_size=task.painter.image_size,
                labels=task.samples.labels,
            )
        report.write(out)
        remove_folder(out / FOLDER)
    report = gather(report)[0]
    assert report is not None
    return report


def _samples(
    painter: Painter, images: CaptionedImages, *, count: int, mode: CaptionMode, seed: int
) -> Samples:
    require_range("num_images", count, SPLITS)
    if painter.classes:
        return samples_by_class(images, count=count, classes=painter.classes, seed=seed)
    return samples_by_caption(images, count=count, mode=mode, seed=seed)


def _absent(
    painter: Painter,
    network: FeatureNetwork,
    training: CaptionedImages | None,
    clip: str | None,
) -> list[str]:
    """What cannot be measured by these, and why."""
    found = []
    if network.logits is None:
        found.append("Inception Score (needs the feature network inception)")
    if painter.classes:
        found.append("CLIP score, text alignment (the generator draws classes)")
    elif clip is None:
        found.append("CLIP score (no CLIP model was named)")
    probe = "class accuracy" if painter.classes else "text alignment"
    if training is None:
        found.append(f"nearest training images, {probe} (the data have no other train split)")
    elif importlib.util.find_spec("matplotlib") is None:
        found.append("histogram of distances (needs matplotlib: install textok[train])")
    return found


def _embedder(
    painter: Painter, cache: Path | None, device: torch.device, absent: list[str]
) -> Embed | None:
    if painter.classes:
        return None
    try:
        return caption_embedder(cache, device)
    except ValueError as error:
        absent.append(f"text alignment ({error})")
        return None
