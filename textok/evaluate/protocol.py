"""How an evaluation was made, in words and numbers, for its report."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from textok import __version__
from textok.config import DataConfig
from textok.config.networks import RunPrecision
from textok.data import CaptionedImages
from textok.evaluate.captions import MODES
from textok.evaluate.judges import Judges
from textok.evaluate.measure import ReconstructionInputs
from textok.evaluate.reference import describe_reference
from textok.metrics.frechet import sample_warning
from textok.metrics.image import PSNR_LIMIT
from textok.metrics.kernel_distance import describe_kernel

INTERVALS = "95 % percentile bootstrap over images, 1000 resamples, seed 0"
METRICS = {
    "psnr": f"mean over images, peak the whole range, at most {PSNR_LIMIT:g} dB an image",
    "ssim": "11 x 11 Gaussian window, sigma 1.5, colour channels averaged",
    "lpips": "VGG16, version 0.1, at the images' own resolution",
    "lpips_alex": "AlexNet, version 0.1, at the images' own resolution",
    "perceptual": "EfficientNet-Lite0, unit-length features of 5 stages, own resolution, 0 to 4",
}


def describe(
    inputs: ReconstructionInputs, *, count: int, of: int, absent: Sequence[str]
) -> dict[str, Any]:
    """The protocol of a measurement on ``count`` images of a split that has ``of``."""
    codes = inputs.reconstructor.config.codebook_size
    rounded = "PCA codes" if codes else "tokens and PCA codes"
    protocol: dict[str, Any] = {
        **describe_images(inputs.images, count=count, of=of),
        "reference": "the same images after the crop",
        "precision": describe_precision(inputs.reconstructor.precision),
        "rounding": f"{rounded} to float16; reconstructions to 8 bits, before any metric",
        **inputs.judges.describe(),
        **describe_reference(inputs.reference),
        "captions": {mode: MODES[mode] for mode in inputs.modes},
        "metrics": {name: METRICS[name] for name in inputs.metrics},
        "intervals": INTERVALS,
        **describe_machine(inputs.reconstructor.device, caller="evaluate_reconstruction"),
    }
    if inputs.decoding is not None:
        draws = f" + {inputs.seed}" if inputs.seed else ""
        protocol["decoding"] = f"{inputs.decoding}; seed from each image's key{draws}"
    if inputs.num_samples > 1:
        several = f"of the mean of {inputs.num_samples} samples an image; the rest is of the first"
        protocol["metrics"]["psnr_of_mean"] = several
    if inputs.kernel_distance:
        protocol["kernel distance"] = describe_kernel(count)
    if codes:
        protocol["codebook use"] = f"of {codes} codes, over the tokens of all images"
    if absent:
        protocol["not measured"] = "; ".join(absent)
    return protocol


def describe_images(images: CaptionedImages, *, count: int, of: int) -> dict[str, Any]:
    """The images that were measured: ``count`` of a split that has ``of``."""
    data = images.config
    return {
        "data": data.path,
        "split": data.split,
        "where": data.where or "everything",
        **({"caption files": data.captions} if data.captions else {}),
        **({"class captions": data.class_captions} if data.class_captions else {}),
        "images": count,
        "selection": "all" if len(images) == of else f"evenly spaced over {of}",
        "reader": images.report.summary(),
        "crop": describe_crop(data, images.image_size),
    }


def describe_crop(data: DataConfig, size: int) -> str:
    """How images become squares of ``size`` pixels."""
    square = "filled up with white to a square, " if data.fit == "pad" else ""
    halved = "halved by box averages, " if data.resize == "adm" else ""
    by = "bicubic, as ADM" if data.resize == "adm" else "Lanczos"
    cut = "" if data.fit == "pad" else ", central square"
    return f"{square}{halved}shorter side to {size} px ({by}){cut}"


def describe_precision(precision: RunPrecision) -> str:
    """What models ran in, and what is measured by."""
    return f"{precision}; feature networks and metrics in float32"


def describe_machine(device: torch.device, *, caller: str) -> dict[str, Any]:
    """Versions, device and command; ``caller`` is the function where there was no command."""
    return {
        "versions": {
            "textok": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchmetrics": importlib.metadata.version("torchmetrics"),
        },
        "device": str(device),
        "command": command_line(sys.argv, caller=caller),
    }


def warnings(inputs: ReconstructionInputs, *, count: int) -> list[str]:
    """What a reader of the numbers has to know."""
    config = inputs.reconstructor.config
    found: list[str | None] = [*inputs.judges.warnings(), *sample_warnings(inputs.judges, count)]
    told_none = config.decoding == "flow" and config.flow.drop_tokens > 0
    untrained = [k for k in inputs.budgets if k < config.num_tokens and not (told_none and k == 0)]
    if untrained and not config.nested:
        found.append("the tokenizer is not nested: it was not trained for fewer tokens than K")
    if count < len(inputs.images):
        found.append(f"{len(inputs.images) - count} images could not be read and are left out")
    return [line for line in found if line is not None]


def sample_warnings(judges: Judges, count: int) -> list[str]:
    """For each network that has more features than there are images."""
    found = [(network.metric, sample_warning(count, network.width)) for network in judges.networks]
    single = len(judges.networks) == 1
    return [line if single else f"{metric}: {line}" for metric, line in found if line is not None]


def command_line(argv: Sequence[str], *, caller: str) -> str:
    """The line that was typed, where the command line made the measurement."""
    program = Path(argv[0])
    if program.stem == "textok" or program.parts[-2:] == ("cli", "__main__.py"):
        return shlex.join(["textok", *argv[1:]])
    return f"none: {caller} was called from Python"
