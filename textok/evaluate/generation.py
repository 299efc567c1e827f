"""How good generated images are: like real ones, as varied, true to their captions, no copies."""

from __future__ import annotations

import dataclasses
import importlib.util
from functools import partial
from pathlib import Path

import torch

from textok.config.check import require, require_range
from textok.config.evaluation import CaptionMode, EvaluateGenerationConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.evaluate.decoder_captions import captions_of_others
from textok.evaluate.export import write_npz
from textok.evaluate.generated import PICTURES, generate_images
from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.generation_protocol import describe_generation, generation_warnings
from textok.evaluate.generation_report import GenerationReport
from textok.evaluate.generation_scores import measure_reference, score_images
from textok.evaluate.generation_sheets import memorisation_sheet, sample_sheet
from textok.evaluate.image_features import training_images
from textok.evaluate.image_generator import ImageGenerator, load_image_generator
from textok.evaluate.judges import open_judges
from textok.evaluate.memorisation import plot_distances
from textok.evaluate.reconstruction import evenly
from textok.evaluate.reference import open_reference_for
from textok.evaluate.report_folder import report_folder
from textok.evaluate.samples import Samples, samples_by_caption, samples_by_class
from textok.evaluate.text_alignment import Embed, caption_embedder
from textok.metrics.clip_score import load_clip_score
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.features import load_feature_network
from textok.metrics.inception_score import SPLITS
from textok.metrics.precision_recall import NEIGHBOURS
from textok.runtime.device import check_precision, cuda_products, pick_device
from textok.runtime.files import remove_folder
from textok.runtime.memory import check_rows
from textok.runtime.processes import gather, join_processes, own_device
from textok.runtime.sheet import save_picture

NPZ_PICTURES = 50_000
"""Images that the evaluation script of ADM expects."""
FOLDER = ".drawn"


def evaluate_generation(
    config: EvaluateGenerationConfig, *, generator: ImageGenerator | None = None
) -> GenerationReport:
    """Generate for the captions or classes of a split and judge; all goes into ``out``.

    Writes ``report.json``, ``report.md``, ``sheet.png``, ``memorisation.png`` and
    ``distances.png``, with ``npz`` also ``samples.npz``. Images are kept in ``out/.drawn`` until
    the report is written: the same call goes on after an interruption. Under ``torchrun`` or
    ``accelerate launch`` every process calls it and generates its share; the first one writes.

    ``generator`` stands in for the pipeline ``model``, and samples as it was made to: in its own
    precision, compiled or not.

    Raises ValueError for a model, data or settings that do not fit together.
    """
    device, folder = pick_device(config.device), report_folder(config.out)
    folder.check()
    check_precision(device, config.precision)
    with cuda_products(device, tf32=False):
        rank, _ = join_processes()
        inputs = _open(config, own_device(device), generator)
        if rank == 0:
            folder.claim()  # generating takes long: errors show now
        gather(rank)  # the others' images would be foreign in a folder that is not yet claimed
        return _judge(inputs, config)


def _open(
    config: EvaluateGenerationConfig, device: torch.device, generator: ImageGenerator | None
) -> GenerationInputs:
    """Everything that is needed, opened before anything is generated."""
    generator = generator or load_image_generator(
        config.model,
        sampling=config.sampling,
        decoding=config.decoding,
        decoder_captions=config.decoder_captions,
        precision=config.precision,
        compile_mode=config.compile,
        device=device,
    )
    judges = open_judges(
        config.feature_network,
        weights=config.feature_weights,
        trained_with=generator.trained_with,
        load=partial(load_feature_network, device=device, resizing=config.inception_resizing),
    )
    split = open_captioned_images(config.data, image_size=generator.image_size)
    images = evenly(split, config.limit)
    training = training_images(images)
    few = f"{config.data.path}: {len(images)} images are too few to judge by"
    require(len(images) > NEIGHBOURS, few)
    count = config.num_images
    if count is None:
        count = NPZ_PICTURES if config.npz else len(images)
    check_rows(
        min(config.batch_size, max(count, len(images))),
        4 * images.bytes_each,
        setting=f"batch_size is {config.batch_size}",
    )
    absent = _absent(generator, judges.main, training, config.clip)
    clip = None
    if config.clip is not None and not generator.classes:
        clip = load_clip_score(config.clip, device=device)
    cache = Path(config.text.cache) if config.text.cache else None
    mode = config.caption_mode
    require_range("num_images", count, NEIGHBOURS + 1 if judges.main.logits is None else SPLITS)
    samples = _samples(generator, images, count=count, mode=mode, seed=config.seed)
    if config.decoder_captions == "other_image":
        unread = "decoder_captions is other_image, but this decoder reads no captions: leave it out"
        require(bool(generator.classes) and generator.draw_captioned is not None, unread)
        captions = captions_of_others(samples, images, split)
        samples = dataclasses.replace(samples, captions=captions)
    return GenerationInputs(
        generator=generator,
        samples=samples,
        mode=mode,
        images=images,
        of=len(split),
        training=training,
        judges=judges,
        reference=open_reference_for(config.reference, judges),
        clip=clip,
        embed=_embedder(generator, cache, device, absent),
        probe_images=config.probe_images,
        absent=absent,
        device=device,
        batch_size=config.batch_size,
    )


def _judge(inputs: GenerationInputs, config: EvaluateGenerationConfig) -> GenerationReport:
    """Generate, measure and write; every process gets the report of the first."""
    out = config.out
    generated = generate_images(inputs, out / FOLDER)
    reference = measure_reference(inputs, config.feature_cache)
    report = None
    if join_processes()[0] == 0:
        scores, near = score_images(inputs, generated, reference)
        report = GenerationReport(
            model=inputs.generator.name,
            settings=dict(inputs.generator.settings),
            metric=inputs.network.metric,
            protocol=describe_generation(inputs, reference, scores),
            scores=scores,
            warnings=generation_warnings(inputs, reference),
            trained_with=list(inputs.judges.trained_with),
            not_comparable=inputs.judges.not_comparable(),
        )
        sheet = sample_sheet(inputs, generated, pictures=config.sheet_rows)
        save_picture(sheet, out / "sheet.png")
        if near is not None:
            save_picture(memorisation_sheet(inputs, generated, near), out / "memorisation.png")
            first = (near.drawn.distances[:, 0], near.real.distances[:, 0])
            plot_distances(*first, out / "distances.png")
        if config.npz:
            write_npz(
                out / "samples.npz",
                generated.store.pieces(PICTURES),
                count=len(inputs.samples),
                image_size=inputs.generator.image_size,
                labels=inputs.samples.labels,
            )
        report.write(out)
        remove_folder(out / FOLDER)
    report = gather(report)[0]
    assert report is not None
    return report


def _samples(
    generator: ImageGenerator, images: CaptionedImages, *, count: int, mode: CaptionMode, seed: int
) -> Samples:
    if generator.classes:
        return samples_by_class(images, count=count, classes=generator.classes, seed=seed)
    return samples_by_caption(images, count=count, mode=mode, seed=seed)


def _absent(
    generator: ImageGenerator,
    network: FeatureNetwork,
    training: CaptionedImages | None,
    clip: str | None,
) -> list[str]:
    """What cannot be measured by these, and why."""
    found = []
    if network.logits is None:
        found.append("Inception Score (needs the feature network inception)")
    if generator.classes:
        found.append("CLIP score, text alignment (the generator takes classes)")
    elif clip is None:
        found.append("CLIP score (no CLIP model was named)")
    probe = "class accuracy" if generator.classes else "text alignment"
    if training is None:
        found.append(f"nearest training images, {probe} (the data have no other train split)")
    elif importlib.util.find_spec("matplotlib") is None:
        found.append("histogram of distances (needs matplotlib: install textok[train])")
    return found


def _embedder(
    generator: ImageGenerator, cache: Path | None, device: torch.device, absent: list[str]
) -> Embed | None:
    if generator.classes:
        return None
    try:
        return caption_embedder(cache, device)
    except ValueError as error:
        absent.append(f"text alignment ({error})")
        return None
