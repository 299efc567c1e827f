"""The generator that a training begins with: new, or that of another pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from textok.config.training_on_latents import TrainOnLatentsConfig
from textok.generator import TokenGenerator
from textok.generator.initial import initial_state
from textok.latents import read_index
from textok.pipeline.folder import PipelineParts, load_pipeline
from textok.runtime.pretrained import ASKED_FOR, check_state
from textok.text.open import same_features
from textok.tokenizer import Tokenizer
from textok.train.lora import add_adapters

CLOSE = 1e-2
"""Relative difference of weights that rounding to 16 bits explains."""
_LOGGER = logging.getLogger(__name__)


def build_generator(
    config: TrainOnLatentsConfig, new_generator: Callable[[], TokenGenerator]
) -> TokenGenerator:
    """A newly initialised one, or with the weights of the pipeline ``init`` if there is one.

    Average velocities may start from a flow. Raises ValueError where these weights do not fit.
    """
    generator = new_generator()
    if config.init:
        source, where = load_pipeline(config.init), f"init {config.init}"
        generator.trained_with = source.generator.trained_against
        state = initial_state(generator, source.generator, where=where)
        check_state(generator.state_dict(), state, where=where, to=ASKED_FOR)
        generator.load_state_dict(state)
        for other in differences(source, config):
            _LOGGER.warning("%s: %s", where, other)
    generator.set_grad_checkpointing(config.run.grad_checkpointing)
    if config.lora.on:
        add_adapters(generator, config.lora)
    return generator


def differences(source: PipelineParts, config: TrainOnLatentsConfig) -> Iterator[str]:
    """What of latents and captions differs from those that ``source`` learnt, as sentences.

    Nothing here is wrong for fine-tuning, but weights that match by their shapes alone start from
    other numbers.
    """
    latents = config.latents
    theirs = source.tokenizer.encoder.state_dict()
    ours = Tokenizer.from_pretrained(Path(latents.path) / "tokenizer").encoder.state_dict()
    same = theirs.keys() == ours.keys() and all(
        theirs[name].shape == ours[name].shape
        and torch.allclose(theirs[name], ours[name], rtol=CLOSE, atol=1e-3)
        for name in ours
    )
    learns = f"those of {latents.path}: its generator has to learn them anew"
    if not same:
        yield f"its tokens come from another encoder than {learns}"
    classes = read_index(Path(latents.path) / latents.split).classes if source.classes else []
    if classes and list(source.classes) != classes:
        yield f"its classes, or their order, differ from {learns}"
    if source.text is not None and not same_features(source.text, config.text, any_precision=True):
        yield (
            "it reads prompts by other settings of text than these (its encoder is "
            f"{source.text.encoder}): its generator has to learn to read anew"
        )
