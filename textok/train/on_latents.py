"""From stored latents to a text-to-image pipeline, whatever kind of generator is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from textok.config import TokenGeneratorConfig, TrainGeneratorConfig, TrainMaskGITConfig
from textok.config.check import require
from textok.config.training_on_latents import TrainOnLatentsConfig
from textok.data.class_captions import ClassCaptions
from textok.data.order import Order, evenly_spaced
from textok.generator import TokenGenerator
from textok.latents import LatentIndex, LatentSet, open_latents, read_index
from textok.losses.frechet import FrechetLoss
from textok.pipeline.folder import PipelineParts, save_pipeline
from textok.text.folder import find_text_model
from textok.tokenizer import Tokenizer
from textok.tokenizer.pretrained import read_tokenizer
from textok.train.distributed import Distributed
from textok.train.generation_validator import GenerationValidator
from textok.train.initial_generator import build_generator
from textok.train.latent_batches import latent_batches
from textok.train.latent_captions import open_decoder_text, open_prompt_text
from textok.train.memory import check_memory
from textok.train.objective import GeneratorObjective
from textok.train.post_training import open_post_trainer
from textok.train.projection import Projection
from textok.train.randomness import RandomSource
from textok.train.reconstruction_validator import not_comparable
from textok.train.same_data import latents_fingerprint
from textok.train.session import open_session
from textok.train.task import TrainingTask, Validator

Settings = TrainGeneratorConfig | TrainMaskGITConfig
Shape = TypeVar("Shape", bound=TokenGeneratorConfig)
NO_PATH = "latents.path is empty: name a folder made by `textok extract`"
CAPTIONS_OF_CLASS = 50
"""Training captions that a pipeline keeps of a class without any held out."""


def train_on_latents(
    config: Settings,
    new_latents: Callable[[], TrainingLatents],
    new_generator: Callable[[], TokenGenerator],
    new_objective: Callable[
        [TrainingLatents, Distributed], tuple[GeneratorObjective, Projection | None]
    ],
) -> Path:
    """Train a generator, or resume its training, in the folder ``run.out``; returns it.

    ``new_latents`` opens what ``config`` was ``fitted`` to, once the machine has the memory for it.
    ``new_objective`` makes what it is trained for, after the generator, and the projection that is
    trained with it, if there is one.
    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    distributed, network = session.distributed, config.generator.network
    check_memory(
        new_generator,
        row=config.generator.num_tokens,
        depth=network.depth * network.width * config.generator.num_tokens,
        run=config.run,
        distributed=distributed,
    )
    latents = new_latents()
    torch.manual_seed(config.run.seed)
    generator = build_generator(config, new_generator)
    objective, projection = new_objective(latents, distributed)
    parts = build_parts(config, latents, generator)
    # What is left to chance in the networks themselves, dropout, differs between processes.
    torch.manual_seed(config.run.seed + distributed.rank)
    post_trainer = None
    if isinstance(config, TrainGeneratorConfig):
        post_trainer = open_post_trainer(config, parts, distributed.device)
    captions, folder = latents.captions, latents.folder
    text = open_prompt_text(config, session, captions, folder)
    decoder_text = open_decoder_text(config, session, captions, folder, parts)
    validator = GenerationValidator(
        objective,
        latents=latents.held_out or latents.train,
        parts=parts,
        prompts=config.prompts,
        fd_images=config.fd_images,
        prompt_text=text,
        decoder_text=decoder_text,
        distributed=distributed,
    )
    # Opened late, so that settings that are refused leave no folder behind.
    session.open_folder(partial(latents_fingerprint, latents.train))
    frechet = None
    if post_trainer is not None:
        trained = post_trainer.objective(
            objective, parts, decoder_text, session=session, source=random_source(config)
        )
        objective, frechet = trained, trained.loss
    task = generator_task(
        config,
        parts,
        objective=objective,
        projection=projection,
        frechet=frechet,
        validator=validator,
        distributed=distributed,
    )
    for line in config.unlearnt(config.sampling.guidance):
        distributed.print(line)
    order = random_order(config, len(latents.train), distributed)
    session.train(
        task,
        lambda step: latent_batches(
            latents.train, text, order=order, step=step, device=distributed.device
        ),
    )
    return session.close(
        f"{len(latents.train)} rows of {latents.folder}/{config.latents.split}",
        not_comparable=not_comparable(*parts.tokenizer.trained_with, *generator.trained_against),
    )


def generator_task(
    config: TrainOnLatentsConfig,
    parts: PipelineParts,
    *,
    objective: GeneratorObjective,
    validator: Validator[TokenGenerator],
    distributed: Distributed,
    projection: Projection | None = None,
    frechet: FrechetLoss | None = None,
) -> TrainingTask[TokenGenerator]:
    """The generator of ``parts`` with what its training needs; it is published with the others."""
    return TrainingTask(
        "generator",
        parts.generator,
        objective=objective,
        validator=validator,
        save=lambda averaged, folder: save_pipeline(folder, replace(parts, generator=averaged)),
        optim=config.optim,
        run=config.run,
        distributed=distributed,
        projection=projection,
        frechet=frechet,
    )


def random_source(config: TrainOnLatentsConfig) -> RandomSource:
    run = config.run
    return RandomSource(seed=run.seed, batch_size=run.batch_size, drop=config.text.drop)


def random_order(config: TrainOnLatentsConfig, rows: int, distributed: Distributed) -> Order:
    """The order in which this process takes the rows of latents."""
    return Order(
        size=rows,
        seed=config.run.seed,
        global_batch=config.run.batch_size,
        accumulate=config.run.accumulate,
        rank=distributed.rank,
        world_size=distributed.world_size,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingLatents:
    """What is trained on, and what is held out for validation, if anything is."""

    folder: Path
    train: LatentSet
    held_out: LatentSet | None

    @property
    def captions(self) -> list[str]:
        """Those of every row, held out or not."""
        return self.train.captions() + (self.held_out.captions() if self.held_out else [])


def training_index(config: TrainOnLatentsConfig) -> LatentIndex:
    """What is known of the rows that are trained on before any is read, of their first tokens.

    Raises ValueError where there are none.
    """
    settings = config.latents
    require(bool(settings.path), NO_PATH)
    index = read_index(Path(settings.path) / settings.split)
    return index.first(settings.num_tokens) if settings.num_tokens else index


def open_both(config: TrainOnLatentsConfig) -> TrainingLatents:
    """The latents of both splits. Raises ValueError where they are missing or do not compare."""
    settings = config.latents
    require(bool(settings.path), NO_PATH)
    folder = Path(settings.path)
    train = open_latents(folder, settings.split, verify=settings.verify)
    held_out = None
    if settings.held_out:
        held_out = open_held_out(folder, settings.held_out, verify=settings.verify)
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


def open_held_out(folder: Path, name: str, *, verify: bool = True) -> LatentSet:
    """The latents of a split for validation. Raises ValueError where there are none."""
    try:
        return open_latents(folder, name, verify=verify)
    except ValueError as error:
        without = "" if (folder / name).is_dir() else '; --latents.held-out "" trains without one'
        raise ValueError(f"{error}{without}") from None


def fit_shape(
    shape: Shape, config: TrainOnLatentsConfig, index: LatentIndex, **known: Any
) -> Shape:
    """The generator's settings with what follows from its latents and its text encoder filled in.

    ``known`` is what this kind of generator takes from them beside K. Raises ValueError where a
    setting, or a prompt, contradicts the latents.
    """
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


def build_parts(
    config: Settings,
    latents: TrainingLatents,
    generator: TokenGenerator,
) -> PipelineParts:
    """The pipeline that training leaves behind; of codes there is no scale."""
    by_class = config.generator.condition == "class"
    seen = latents.train.class_captions()
    unseen = latents.held_out.class_captions() if latents.held_out else {}
    classes = latents.train.index.classes if by_class else []
    return PipelineParts(
        tokenizer=Tokenizer.from_pretrained(latents.folder / "tokenizer"),
        generator=generator,
        scale=latents.train.scale if isinstance(config, TrainGeneratorConfig) else None,
        text=None if by_class else config.text.portable,
        sampling=config.sampling,
        classes=classes,
        class_captions={
            name: captions_to_sample(seen.get(name, ()), unseen.get(name, ())) for name in classes
        },
    )


def captions_to_sample(seen: Sequence[str], unseen: Sequence[str]) -> ClassCaptions:
    """What a pipeline keeps of the captions of a class: those that were not trained on.

    Where there are none, some of those that were. The rest stay with the latents: of ImageNet's
    images with several captions each they are hundreds of megabytes, which every save would write.
    """
    held_out = tuple(sorted(set(unseen) - set(seen)))
    kept = [] if held_out else [seen[i] for i in evenly_spaced(len(seen), CAPTIONS_OF_CLASS)]
    return ClassCaptions(train=tuple(kept), held_out=held_out)
