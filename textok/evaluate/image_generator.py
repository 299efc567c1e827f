"""A generator as evaluation uses it: images for captions or classes, each from its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textok.config.check import require
from textok.config.decoding import AS_TRAINED, DecodingConfig, DecodingOptions
from textok.config.evaluation import DecoderCaptions
from textok.config.generator import (
    AS_SAMPLED,
    SamplingConfig,
    SamplingOptions,
)
from textok.config.networks import UNKNOWN, CompileSetting, RunPrecision
from textok.data.class_captions import class_sentence
from textok.evaluate.decoder_captions import caption_source
from textok.pipeline import ImageRequest, TextToImage
from textok.runtime.pretrained import find_folder


@dataclass(frozen=True, kw_only=True)
class ImageGenerator:
    """Anything that generates images from captions or classes and seeds."""

    name: str
    """As reports call it."""
    image_size: int
    classes: Sequence[str] = ()
    """Their names by number; empty where it takes captions."""
    settings: Mapping[str, Any]
    """What it is and how it samples, for the report."""
    decoding: str = ""
    """How its decoder samples, in words; empty where it samples nothing."""
    precision: RunPrecision | None = None
    """What it runs in, for the report; None where that is not known."""
    trained_with: tuple[str, ...] = (UNKNOWN,)
    """Pretrained networks that its tokenizer or its generator was trained against."""
    identity: str = ""
    """Tells its weights from others: images of other weights are not taken for its own."""
    caption_source: str = ""
    """Where its decoder's captions come from, in words; empty where that is not known."""
    decoder_caption: Callable[[str, int], str] | None = None
    """What its decoder reads for a caption or class and a seed, where it is not told."""
    draw: Callable[[Sequence[str], Sequence[int]], Tensor]
    """(B captions or classes, B seeds) to images (B, 3, H, W) of nominal range [-1, 1]."""
    draw_captioned: Callable[[Sequence[str], Sequence[int], Sequence[str]], Tensor] | None = None
    """The same, with B captions that the decoder reads; None where it cannot be told."""


def load_image_generator(
    model: str | Path,
    *,
    sampling: SamplingOptions = AS_SAMPLED,
    decoding: DecodingOptions = AS_TRAINED,
    decoder_captions: DecoderCaptions = "held_out",
    precision: RunPrecision = "fp32",
    compile_mode: CompileSetting = "no",
    device: torch.device | str = "cpu",
) -> ImageGenerator:
    """A pipeline as an ImageGenerator, its own sampling and decoding with what is given in place.

    ``compile_mode`` is how it generates faster on a GPU (``TextToImage.compile``).

    Raises ValueError for a model or sampling that cannot be, and for ``decoder_captions`` other
    than ``held_out`` where the generator takes captions: its decoder reads that caption. With
    ``other_image`` it is ``draw_captioned`` that generates.
    """
    pipeline = TextToImage.from_pretrained(model, device=device, precision=precision)
    config = pipeline.generator.config
    sampled = sampling.applied_to(pipeline.sampling)
    config.check_sampling(sampled)
    pipeline.guides.guided(sampled)
    settings: dict[str, Any] = {"sampling": asdict(sampled), "generator": asdict(config)}
    decoded = pipeline.tokenizer.config.sampled_by(decoding)
    if decoded is not None:
        settings["decoding"] = asdict(decoded)
    if pipeline.classes:
        settings["decoder captions"] = decoder_captions
    require(
        bool(pipeline.classes) or decoder_captions == "held_out",
        f"decoder_captions is {decoder_captions}, but {model} takes captions and its decoder "
        "reads the same: leave it out",
    )
    if compile_mode != "no":
        pipeline.compile(compile_mode)

    drawing = _Drawing(pipeline, sampled, decoded, decoder_captions)
    reads_text = pipeline.tokenizer.config.decoder_reads_text
    return ImageGenerator(
        name=str(model),
        image_size=pipeline.tokenizer.config.image_size,
        classes=pipeline.classes,
        settings=settings,
        decoding="" if decoded is None else f"{decoded}; seed of each picture's own",
        precision=precision,
        trained_with=trained_against(pipeline),
        identity="; ".join(
            _weights(find_folder(name)) for name in (model, sampled.guidance.guide) if name
        ),
        caption_source=caption_source(
            decoder_captions,
            classes=pipeline.classes,
            class_captions=pipeline.parts.class_captions,
            reads_text=reads_text,
        ),
        decoder_caption=drawing.decoder_caption if reads_text else None,
        draw=drawing.draw,
        draw_captioned=drawing.draw_captioned if reads_text else None,
    )


@dataclass(frozen=True)
class _Drawing:
    """How a pipeline generates for an evaluation."""

    pipeline: TextToImage
    sampling: SamplingConfig
    decoding: DecodingConfig | None
    choice: DecoderCaptions

    def draw(self, conditions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Images whose decoder reads what the choice says."""
        return self.draw_captioned(conditions, seeds, [self._caption(one) for one in conditions])

    def draw_captioned(
        self, conditions: Sequence[str], seeds: Sequence[int], captions: Sequence[str | None]
    ) -> Tensor:
        """Images whose decoder reads ``captions``; None: what the pipeline gives it."""
        pictures = [
            ImageRequest(condition=condition, seed=seed, caption=caption)
            for condition, seed, caption in zip(conditions, seeds, captions, strict=True)
        ]
        return self.pipeline.draw_tensor(pictures, sampling=self.sampling, decoding=self.decoding)

    def decoder_caption(self, condition: str, seed: int) -> str:
        """What the decoder reads of an image that ``draw`` generates."""
        caption = self._caption(condition)
        request = ImageRequest(condition=condition, seed=seed, caption=caption)
        return self.pipeline.decoder_caption(request)

    def _caption(self, name: str) -> str | None:
        require(
            self.choice != "other_image",
            "decoder_captions is other_image: give the captions to draw_captioned",
        )
        return {"held_out": None, "class_name": class_sentence(name), "none": ""}[self.choice]


def trained_against(pipeline: TextToImage) -> tuple[str, ...]:
    """The pretrained networks of the tokenizer and of the generator."""
    ours, theirs = pipeline.generator.trained_against, pipeline.tokenizer.trained_with
    return tuple(sorted({*ours, *theirs}))


def _weights(folder: Path) -> str:
    """The files of weights, their sizes and times."""
    files = [(path, path.stat()) for path in sorted(folder.rglob("*.safetensors"))]
    return "; ".join(
        f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in files
    )
