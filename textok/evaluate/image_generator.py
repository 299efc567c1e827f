"""A generator as evaluation uses it: images for captions or classes, each from its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textok.config.check import require
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.config.evaluation import DecoderCaptions
from textok.config.generator import AS_SAMPLED, SamplingOptions
from textok.config.networks import UNKNOWN, RunPrecision
from textok.data.class_captions import class_sentence
from textok.pipeline import ImageRequest, TextToImage
from textok.runtime.pretrained import find_folder


@dataclass(frozen=True, kw_only=True)
class ImageGenerator:
    """Anything that generates images from captions or classes and seeds."""

    name: str
    """As reports call it."""
    image_size: int
    classes: Sequence[str] = ()
    """What it draws, by number; empty where it draws by caption."""
    settings: Mapping[str, Any]
    """What it is and how it samples, for the report."""
    decoding: str = ""
    """How its decoder samples, in words; empty where it samples nothing."""
    precision: RunPrecision | None = None
    """What it runs in, for the report; None where that is not known."""
    trained_with: tuple[str, ...] = (UNKNOWN,)
    """Losses by pretrained networks that its tokenizer was trained against."""
    identity: str = ""
    """Tells its weights from others: pictures of other weights are not taken for its own."""
    draw: Callable[[Sequence[str], Sequence[int]], Tensor]
    """(B captions or classes, B seeds) to pictures (B, 3, H, W) of nominal range [-1, 1]."""


def load_image_generator(
    model: str | Path,
    *,
    sampling: SamplingOptions = AS_SAMPLED,
    decoding: DecodingOptions = AS_TRAINED,
    decoder_captions: DecoderCaptions = "held_out",
    precision: RunPrecision = "fp32",
    device: torch.device | str = "cpu",
) -> ImageGenerator:
    """A pipeline as an ImageGenerator, its own sampling and decoding with what is given in place.

    Raises ValueError for a model or sampling that cannot be, and for ``decoder_captions`` other
    than ``held_out`` where the generator draws by caption: its decoder reads that caption.
    """
    pipeline = TextToImage.from_pretrained(model, device=device, precision=precision)
    config = pipeline.generator.config
    sampled = sampling.applied_to(pipeline.sampling)
    config.check_sampling(sampled)
    settings: dict[str, Any] = {"sampling": asdict(sampled), "generator": asdict(config)}
    decoded = pipeline.tokenizer.config.sampled_by(decoding)
    if decoded is not None:
        settings["decoding"] = asdict(decoded)
    if pipeline.classes:
        settings["decoder captions"] = decoder_captions
    require(
        bool(pipeline.classes) or decoder_captions == "held_out",
        f"decoder_captions is {decoder_captions}, but {model} draws by caption and its decoder "
        "reads the same: leave it out",
    )

    def caption(name: str) -> str | None:
        return {"held_out": None, "class_name": class_sentence(name), "none": ""}[decoder_captions]

    def draw(conditions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        pictures = [
            ImageRequest(condition=condition, seed=seed, caption=caption(condition))
            for condition, seed in zip(conditions, seeds, strict=True)
        ]
        return pipeline.draw_tensor(pictures, sampling=sampled, decoding=decoded)

    return ImageGenerator(
        name=str(model),
        image_size=pipeline.tokenizer.config.image_size,
        classes=pipeline.classes,
        settings=settings,
        decoding="" if decoded is None else f"{decoded}; seed of each picture's own",
        precision=precision,
        trained_with=pipeline.tokenizer.trained_with,
        identity=_weights(find_folder(model)),
        draw=draw,
    )


def _weights(folder: Path) -> str:
    """The files of weights, their sizes and times."""
    files = [(path, path.stat()) for path in sorted(folder.rglob("*.safetensors"))]
    return "; ".join(
        f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in files
    )
