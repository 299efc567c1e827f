"""What ``make`` keeps, and the numbers that a version gets out of it. Not a test module."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torch import Tensor

import textok.train
from textok.cli.main import main
from textok.pipeline import Reconstructor
from textok.vqgan import VQGAN

TRAININGS = {
    "gan": "tokenizer",
    "vq": "tokenizer",
    "flow": "tokenizer",
    "vqgan": "vqgan",
    "codes": "tokenizer",
    "dit-text": "generator",
    "dit-class": "generator",
    "maskgit": "maskgit",
}
"""Recipes and the words after `textok train`."""
CONTINUED = ("gan", "vqgan", "dit-text", "maskgit")
"""Trainings whose checkpoint is kept."""
TOKENIZERS = ("gan", "vq", "flow", "codes")
PICTURES = {
    "dit-text": ("red dog", "two cat", "--guidance", "2"),
    "dit-class": ("--class", "dog"),
    "maskgit": ("--class", "cat"),
}
"""Pipelines and what `textok generate` draws with them."""
GENERATE = "--num-images 1 --separate --seed 5 --out generated --device cpu".split()


def next_steps(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The logged steps after the second, without the speed."""
    steps = [json.loads(line) for line in lines]
    return [
        {name: value for name, value in step.items() if name != "images_per_second"}
        for step in steps
        if step["step"] > 2
    ]


def settings(kind: str, words: str) -> Any:
    """The settings that `textok train KIND WORDS` would train with; None where it refuses them."""
    given: list[Any] = []
    with mock.patch.object(textok.train, f"train_{kind}", given.append):
        code = main(["train", kind, *words.split()])
    return given[0] if code == 0 else None


def numbers() -> dict[str, Tensor]:
    """Tokens and images of every tokenizer and of the VQGAN, in the working directory."""
    pictures = [Image.open(f"data/test/dog/{index:02d}.png") for index in (0, 2)]
    captions = ["red dog", "two large circle"]
    found = {}
    for name in TOKENIZERS:
        model = Reconstructor.from_pretrained(f"models/{name}")
        latents = model.encode(pictures, captions)
        found[f"{name}.mean"] = latents.mean
        if latents.codes is not None:
            found[f"{name}.codes"] = latents.codes
        seeds = [3, 4] if name == "flow" else None
        found[f"{name}.images"] = model.decode_tensor(latents, captions, seeds=seeds)
    vqgan = VQGAN.from_pretrained("models/vqgan").eval()
    with torch.inference_mode():
        latents = vqgan.encode(found["gan.images"].clamp(-1, 1))
        found["vqgan.mean"] = latents.mean
        found["vqgan.images"] = vqgan.decode(latents)
    return {name: value.contiguous() for name, value in found.items()}
