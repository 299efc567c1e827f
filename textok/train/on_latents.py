"""From stored latents to a pipeline that draws pictures, whatever kind of generator learns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from textok.config import TokenGeneratorConfig, TrainGeneratorConfig, TrainMaskGITConfig
from textok.config.check import require
from textok.config.training import TrainOnLatentsConfig
from textok.data.class_captions import ClassCaptions
from textok.generator import TokenGenerator
from textok.latents import LatentSet, open_latents
from textok.pipeline.folder import PipelineParts, load_pipeline
from textok.runtime.pretrained import check_state
from textok.text import TextFeaturesSource
from textok.text.folder import find_text_model
from textok.tokenizer import Tokenizer
from textok.tokenizer.pretrained import read_tokenizer
from textok.train.examples import examples_from
from textok.train.generator_task import GeneratorTask
from textok.train.held_out import HeldOut
from textok.train.lesson import Lesson
from textok.train.session import Session, open_session

Settings = TrainGeneratorConfig | TrainMaskGITConfig
Shape = TypeVar("Shape", bound=TokenGeneratorConfig)


def train_on_latents(config: Settings, latents: TrainingLatents, lesson: Lesson[Any]) -> Path:
    """Teach a generator, or go on with it, in the folder ``run.out``; returns it.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    torch.manual_seed(config.run.seed)
    parts = build_parts(config, latents, lesson, build_generator(config, lesson))
    text = open_prompt_text(config, session, latents)
    held_out = HeldOut(
        config,
        lesson=lesson,
        latents=latents.held_out or latents.train,
        parts=parts,
        prompt_text=text,
        decoder_text=open_decoder_text(config, session, latents, parts),
        device=session.accelerator.device,
    )
    # Opened late, so that settings that cannot be leave no folder behind.
    session.open_folder()
    task = GeneratorTask(
        config, lesson=lesson, parts=parts, held_out=held_out, accelerator=session.accelerator
    )
    session.train(
        task, partial(examples_from, config.run, latents.train, text, session.accelerator)
    )
    return session.close(f"{len(latents.train)} rows of {latents.folder}/{config.latents.split}")


@dataclass(frozen=True, kw_only=True)
class TrainingLatents:
    """What is trained on, and what is held out to judge it by, if anything is."""

    folder: Path
    train: LatentSet
    held_out: LatentSet | None

    @property
    def captions(self) -> list[str]:
        """Those of every row, held out or not."""
        return self.train.captions() + (self.held_out.captions() if self.held_out else [])


def open_both(config: TrainOnLatentsConfig) -> TrainingLatents:
    """The latents of both splits. Raises ValueError where they are missing or do not compare."""
    settings = config.latents
    require(bool(settings.path), "latents.path is empty: name a folder made by `textok extract`")
    folder = Path(settings.path)
    train = open_latents(folder, settings.split)
    held_out = open_latents(folder, settings.held_out) if settings.held_out else None
    if settings.num_tokens not in (0, train.index.num_tokens):
        require(
            read_tokenizer(folder / "tokenizer").config.nested,
            f"latents.num_tokens is {settings.num_tokens} but the tokenizer of {folder} is not "
            "nested: it decodes all its tokens or none, leave it out",
        )
        train = train.first(settings.num_tokens)
        held_out = None if held_out is None else held_out.first(settings.num_tokens)
    if held_out is not None:
        require(
            held_out.index.tokenizer_sha256 == train.index.tokenizer_sha256,
            f"{folder}: {settings.split} and {settings.held_out} come from different tokenizers",
        )
        require(
            held_out.index.classes == train.index.classes,
            f"{folder}: {settings.split} and {settings.held_out} have different classes: extract "
            "both by one command",
        )
    return TrainingLatents(folder=folder, train=train, held_out=held_out)


def fit_shape(
    shape: Shape, config: TrainOnLatentsConfig, latents: LatentSet, **known: Any
) -> Shape:
    """The generator's settings with what follows from its latents and its text encoder filled in.

    ``known`` is what this kind of generator takes from them beside K. Raises ValueError where a
    setting, or a prompt, says otherwise than the latents do.
    """
    index = latents.index
    known = {"num_tokens": index.num_tokens, **known}
    if shape.condition == "class":
        require(
            bool(index.classes),
            f"generator.condition is 'class' but {config.latents.path} has no classes: use 'text'",
        )
        known["classes"] = len(index.classes)
        unknown = [name for name in config.prompts if name not in index.classes]
        require(not unknown, f"prompts: {', '.join(map(repr, unknown))}: no class of the latents")
    else:
        known["text_tokens"] = config.text.out_tokens
        known["text_width"] = find_text_model(config.text.encoder).width
    for name, value in known.items():
        given = getattr(shape, name)
        require(
            given in (0, value),
            f"generator.{name} is {given} but the latents and captions of {config.latents.path} "
            f"have {value}: leave it out",
        )
    return replace(shape, **known)


def build_generator(config: TrainOnLatentsConfig, lesson: Lesson[Any]) -> TokenGenerator:
    """A new one, with the weights of ``init`` if there is one."""
    generator = lesson.new_generator()
    if config.init:
        source = load_pipeline(config.init).generator
        check_state(generator.state_dict(), source.state_dict(), where=f"init {config.init}")
        generator.load_state_dict(source.state_dict())
    return generator


def build_parts(
    config: Settings, latents: TrainingLatents, lesson: Lesson[Any], generator: TokenGenerator
) -> PipelineParts:
    """The pipeline that training leaves behind."""
    by_class = config.generator.condition == "class"
    seen = latents.train.class_captions()
    unseen = latents.held_out.class_captions() if latents.held_out else {}
    classes = latents.train.index.classes if by_class else []
    return PipelineParts(
        tokenizer=Tokenizer.from_pretrained(latents.folder / "tokenizer"),
        generator=generator,
        scale=lesson.scale,
        text=None if by_class else config.text.portable,
        sampling=config.sampling,
        classes=classes,
        class_captions={
            name: ClassCaptions(
                train=tuple(seen.get(name, ())),
                held_out=tuple(sorted(set(unseen.get(name, ())) - set(seen.get(name, ())))),
            )
            for name in classes
        },
    )


def open_prompt_text(
    config: Settings, session: Session, latents: TrainingLatents
) -> TextFeaturesSource | None:
    """The features of all captions; None where the condition is a class.

    They lie beside the latents, where ``textok extract`` may have put them already.
    """
    if config.generator.condition == "class":
        return None
    captions = [*latents.captions, *config.prompts]
    return session.open_text(config.text, captions, default=latents.folder / "text-cache")


def open_decoder_text(
    config: Settings,
    session: Session,
    latents: TrainingLatents,
    parts: PipelineParts,
) -> TextFeaturesSource | None:
    """The features that the tokenizer's decoder reads; None for one that reads none."""
    text = parts.tokenizer.text_config
    if text is None or not parts.tokenizer.config.decoder_reads_text:
        return None
    drawn = [captions.draw(name, seed=0) for name, captions in parts.class_captions.items()]
    captions = [*latents.captions, *(drawn or config.prompts)]
    ways = config.text
    text = replace(text, cache=ways.cache, store=ways.store, shard=ways.shard)
    return session.open_text(text, captions, default=latents.folder / "text-cache")
