"""How good generated images are: like real ones, as varied, true to their captions, no copies."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from textok.config import DataConfig
from textok.config.check import require, require_range
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.config.generator import Sampler
from textok.data import CaptionedImages, open_captioned_images
from textok.evaluate.captions import CaptionMode
from textok.evaluate.export import write_npz
from textok.evaluate.generated import PICTURES, generate_images
from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.generation_protocol import describe_generation, generation_warnings
from textok.evaluate.generation_report import GenerationReport
from textok.evaluate.generation_scores import measure_reference, score_images
from textok.evaluate.generation_sheets import memorisation_sheet, sample_sheet
from textok.evaluate.image_features import training_images
from textok.evaluate.image_generator import DecoderCaptions, ImageGenerator, load_image_generator
from textok.evaluate.judges import open_judges
from textok.evaluate.memorisation import plot_distances
from textok.evaluate.reconstruction import evenly
from textok.evaluate.samples import Samples, samples_by_caption, samples_by_class
from textok.evaluate.text_alignment import Embed, caption_embedder
from textok.metrics.clip_score import load_clip_score
from textok.metrics.features import FeatureNetwork, load_feature_network
from textok.metrics.inception_score import SPLITS
from textok.metrics.precision_recall import NEIGHBOURS
from textok.runtime.files import remove_folder
from textok.runtime.processes import gather, join_processes, own_device
from textok.runtime.sheet import save_picture

NPZ_PICTURES = 50_000
"""Pictures that the evaluation script of ADM expects."""
FOLDER = ".drawn"


def evaluate_generation(
    model: str | Path | ImageGenerator,
    data: DataConfig,
    out: Path,
    *,
    num_images: int | None = None,
    captions: CaptionMode = "true",
    sampler: Sampler | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    decoding: DecodingOptions = AS_TRAINED,
    decoder_captions: DecoderCaptions = "held_out",
    seed: int = 0,
    feature_network: str | Sequence[str] = (),
    feature_weights: Path | None = None,
    clip: str | Path | None = None,
    npz: bool = False,
    limit: int | None = None,
    probe_images: int = 8000,
    text_cache: Path | None = None,
    feature_cache: Path | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    pictures: int = 64,
) -> GenerationReport:
    """Draw pictures for the captions or classes of ``data`` and judge them; all goes into ``out``.

    Writes ``report.json``, ``report.md``, ``sheet.png``, ``memorisation.png`` and
    ``distances.png``, with ``npz`` also ``samples.npz``. What is drawn is kept in ``out/.drawn``
    until the report is written: the same call goes on after an interruption. Under ``torchrun`` or
    ``accelerate launch`` every process calls it and draws its share; the first one writes.

    Args:
        model: a pipeline's name or folder, or a generator, which samples as it was made to.
        num_images: how many are drawn; without it as many as images, with ``npz`` 50,000.
        captions: ``true`` or ``plain``, for a generator that draws by caption.
        decoding: of a decoder that samples, instead of the tokenizer's own.
        decoder_captions: what the decoder reads of a class, for a generator that draws classes.
        seed: of the first picture; the next one has the next.
        feature_network: one or several; the first that the tokenizer was not trained against
            judges. By default those that work offline here.
        feature_weights: file of a feature network's weights: inception's, else the first one's.
        clip: folder or hub name of a CLIP model, for the CLIP score.
        limit: measure against this many images, evenly spaced over the split.
        probe_images: at most this many training images for the probe of text alignment or classes.
        text_cache: folder of caption features, for the probe.
        feature_cache: folder of real images' features, for several evaluations on the same data.
        pictures: rows of the sheet.

    Raises ValueError for a model, data or settings that do not fit together.
    """
    require_range("batch_size", batch_size, 1)
    require_range("probe_images", probe_images, 1)
    rank, _ = join_processes()
    device = own_device(device)
    generator = model
    if isinstance(generator, str | Path):
        generator = load_image_generator(
            generator,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            temperature=temperature,
            decoding=decoding,
            decoder_captions=decoder_captions,
            device=device,
        )
    judges = open_judges(
        feature_network,
        weights=feature_weights,
        trained_with=generator.trained_with,
        load=partial(load_feature_network, device=device),
    )
    split = open_captioned_images(data, image_size=generator.image_size)
    images = evenly(split, limit)
    training = training_images(images)
    require(len(images) > NEIGHBOURS, f"{data.path}: {len(images)} images are too few to judge by")
    count = (NPZ_PICTURES if npz else len(images)) if num_images is None else num_images
    absent = _absent(generator, judges.main, training, clip)
    inputs = GenerationInputs(
        generator=generator,
        samples=_samples(generator, images, count=count, mode=captions, seed=seed),
        mode=captions,
        images=images,
        of=len(split),
        training=training,
        judges=judges,
        clip=None if clip is None or generator.classes else load_clip_score(clip, device=device),
        embed=_embedder(generator, text_cache, device, absent),
        probe_images=probe_images,
        absent=absent,
        device=device,
        batch_size=batch_size,
    )
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)  # drawing takes long: what is wrong shows now
    return _judge(inputs, out, feature_cache=feature_cache, npz=npz, rows=pictures)


def _judge(
    inputs: GenerationInputs, out: Path, *, feature_cache: Path | None, npz: bool, rows: int
) -> GenerationReport:
    """Draw, measure and write; every process gets the report of the first."""
    generated = generate_images(inputs, out / FOLDER)
    reference = measure_reference(inputs, feature_cache)
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
        sheet = sample_sheet(inputs, generated, pictures=rows)
        save_picture(sheet, out / "sheet.png")
        if near is not None:
            save_picture(memorisation_sheet(inputs, generated, near), out / "memorisation.png")
            first = (near.drawn.distances[:, 0], near.real.distances[:, 0])
            plot_distances(*first, out / "distances.png")
        if npz:
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
    require_range("num_images", count, SPLITS)
    if generator.classes:
        return samples_by_class(images, count=count, classes=generator.classes, seed=seed)
    return samples_by_caption(images, count=count, mode=mode, seed=seed)


def _absent(
    generator: ImageGenerator,
    network: FeatureNetwork,
    training: CaptionedImages | None,
    clip: str | Path | None,
) -> list[str]:
    """What cannot be measured by these, and why."""
    found = []
    if network.logits is None:
        found.append("Inception Score (needs the feature network inception)")
    if generator.classes:
        found.append("CLIP score, text alignment (the generator draws classes)")
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
