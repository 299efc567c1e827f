"""What onnxruntime makes of the files, beside what torch makes of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from textok.config.check import require
from textok.export.client import Array, Client
from textok.export.graph import Graph
from textok.export.model import ExportedModel
from textok.export.modules import run
from textok.pipeline import ImageRequest, Reconstructor, TextToImage
from textok.tokenizer import Tokenizer

BATCHES = (1, 3)
CAPTIONS = ("a red handbag for women", "", "blue jeans, size 32")
SAME_CODES = 0.99
"""Share of codes that have to be the same in fp32: two may be equally near."""
RECONSTRUCTION, IMAGES = "reconstruction", "images from noise"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of a graph, or of a whole way through several, between onnxruntime and torch."""

    name: str
    largest: float
    """Relative to the largest number of torch where that is above 1; infinite where it is none."""
    psnr: float | None = None
    """dB, of images clamped to [-1, 1]; infinite where they are equal."""

    def line(self) -> str:
        """As ``decoder  2.7e-06  120.1 dB``."""
        decibel = "" if self.psnr is None else f"  {self.psnr:.1f} dB"
        return f"{self.name:<18} {self.largest:.1e}{decibel}"


def differences(client: Client, graphs: Sequence[Graph], model: ExportedModel) -> list[Difference]:
    """Of each graph for random inputs, and of images by all of them together."""
    found = [_of_graph(client, graph) for graph in graphs]
    found.append(_of_reconstruction(client, model))
    if model.generator is not None:
        found.append(_of_drawing(client, model))
    return found


def require_close(found: Sequence[Difference], tolerance: float) -> None:
    """Raise ValueError where a difference is above ``tolerance``."""
    for one in found:
        require(
            one.largest <= tolerance,
            f"{one.name}: onnxruntime differs from torch by {one.largest:.1e}, above --tolerance "
            f"{tolerance:g}: nothing was written",
        )


def _of_graph(client: Client, graph: Graph) -> Difference:
    largest, images = 0.0, []
    for batch in BATCHES:
        inputs = graph.example(batch=batch, seed=batch)
        torch_side = [one.numpy() for one in run(graph.module, inputs)]
        wanted = dict(zip(graph.outputs, torch_side, strict=True))
        given = client.run(graph.name, **{name: value.numpy() for name, value in inputs.items()})
        largest = max(largest, _largest(given, wanted))
        if "image" in wanted:
            images.append(_psnr(given["image"], wanted["image"]))
    return Difference(name=graph.name, largest=largest, psnr=min(images, default=None))


def _largest(given: Mapping[str, Array], wanted: Mapping[str, Array]) -> float:
    same = None
    if "codes" in wanted:  # where another code is as near, its vector is another one
        same = given["codes"] == wanted["codes"]
        if same.mean() < SAME_CODES:
            return math.inf
    return max(
        _difference(given[name], value, where=same if name == "tokens" else None)
        for name, value in wanted.items()
        if name != "codes"
    )


def _of_reconstruction(client: Client, model: ExportedModel) -> Difference:
    """Random images, with and without a caption, to tokens, and these to images."""
    size, count = model.tokenizer.config.image_size, len(CAPTIONS)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, 3, 2, 2), generator=generator) * 2 - 1
    images = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    torch_side = Reconstructor(model.tokenizer)
    latents = torch_side.encode(images, CAPTIONS)
    seeds = list(range(count))
    wanted = torch_side.decode_tensor(latents.mean, CAPTIONS, seeds=seeds).numpy()
    codes = {} if latents.codes is None else {"codes": latents.codes.numpy()}
    encoded = client.encode(images.numpy(), CAPTIONS)
    encoding = _largest(encoded, {"tokens": latents.mean.numpy(), **codes})
    # Of the same tokens where they are codes, of which one may be another.
    tokens = latents.mean.numpy() if codes else encoded["tokens"]
    given = client.decode(tokens, CAPTIONS, pixel_noise(model.tokenizer, seeds))
    return Difference(
        name=RECONSTRUCTION,
        largest=max(encoding, _difference(given, wanted)),
        psnr=_psnr(given, wanted),
    )


def _of_drawing(client: Client, model: ExportedModel) -> Difference:
    """Images for prompts or classes, from noise to pixels."""
    assert model.parts is not None and model.generator is not None
    classes, config = list(model.parts.classes), model.generator.config
    asked = [*classes[:2], ""] if classes else list(CAPTIONS)
    shape = (config.num_tokens, config.channels)
    seeded = [torch.Generator().manual_seed(seed) for seed in range(len(asked))]
    noise = [torch.randn(shape, generator=one) for one in seeded]
    captions = CAPTIONS[: len(asked)]
    requests = [
        ImageRequest(condition=name, seed=seed, caption=caption)
        for seed, (name, caption) in enumerate(zip(asked, captions, strict=True))
    ]
    wanted = TextToImage(model.parts).draw_tensor(requests, sampling=model.sampling).numpy()
    pixels = pixel_noise(model.tokenizer, range(len(asked)))
    given = client.draw(torch.stack(noise).numpy(), asked, captions, pixels)
    return Difference(name=IMAGES, largest=_difference(given, wanted), psnr=_psnr(given, wanted))


def pixel_noise(tokenizer: Tokenizer, seeds: Sequence[int]) -> Array | None:
    """(B, N, P) that a decoder which samples starts from for each seed; None for any other."""
    noise = tokenizer.decoder.noise(seeds, len(seeds))
    return None if noise is None else noise.numpy()


def _difference(given: Array, wanted: Array, *, where: Array | None = None) -> float:
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return math.inf
    if where is not None:
        given, wanted = given[where], wanted[where]
    apart = np.abs(given.astype(np.float64) - wanted.astype(np.float64))
    return float(apart.max() / max(1.0, float(np.abs(wanted).max())))


def _psnr(given: Array, wanted: Array) -> float:
    error = float(np.square(given.clip(-1, 1) - wanted.clip(-1, 1)).mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)
