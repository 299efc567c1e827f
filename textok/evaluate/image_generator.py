"""A generator as evaluation uses it: images for captions or classes, each from its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from textok.config.check import require
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.config.generator import Sampler
from textok.config.networks import UNKNOWN
from textok.data.class_captions import class_sentence
from textok.pipeline import ImageRequest, TextToImage
from textok.pipeline.image_request import adjusted
from textok.runtime.pretrained import find_folder

DecoderCaptions = Literal["held_out", "class_name", "none"]
"""What the tokenizer's decoder reads of a class: a caption not seen in training, as TexTok samples
(arXiv 2412.05796, section 4), a sentence with the class's name, or nothing."""


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
    trained_with: tuple[str, ...] = (UNKNOWN,)
    """Losses by pretrained networks that its tokenizer was trained against."""
    identity: str = ""
    """Tells its weights from others: pictures of other weights are not taken for its own."""
    draw: Callable[[Sequence[str], Sequence[int]], Tensor]
    """(B captions or classes, B seeds) to pictures (B, 3, H, W) of nominal range [-1, 1]."""


def load_image_generator(
    model: str | Path,
    *,
    sampler: Sampler | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    decoding: DecodingOptions = AS_TRAINED,
    decoder_captions: DecoderCaptions = "held_out",
    device: torch.device | str = "cpu",
) -> ImageGenerator:
    """A pipeline as an ImageGenerator, its own sampling and decoding with what is given in place.

    Raises ValueError for a model or sampling that cannot be, and for ``decoder_captions`` other
    than ``held_out`` where the generator draws by caption: its decoder reads that caption.
    """
    pipeline = TextToImage.from_pretrained(model, device=device)
    config = pipeline.generator.config
    sampling = adjusted(
        pipeline.sampling,
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        temperature=temperature,
    )
    config.check_sampling(sampling)
    settings: dict[str, Any] = {"sampling": asdict(sampling), "generator": asdict(config)}
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

    def caption(prompt: str) -> str | None:
        options = {"held_out": None, "class_name": class_sentence(prompt), "none": ""}
        return options[decoder_captions]

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        images = [
            ImageRequest(prompt=prompt, seed=seed, caption=caption(prompt))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return pipeline.draw_tensor(images, sampling=sampling, decoding=decoded)

    return ImageGenerator(
        name=str(model),
        image_size=pipeline.tokenizer.config.image_size,
        classes=pipeline.classes,
        settings=settings,
        decoding="" if decoded is None else f"{decoded}; seed of each picture's own",
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
