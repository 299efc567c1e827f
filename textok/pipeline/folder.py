"""A pipeline as one folder or hub repository: a tokenizer, a generator and what joins them.

pipeline.json    scale of the latents, text encoder of the generator, sampling, names of classes
captions.json    captions of each class, where there are classes
tokenizer/       as ``Tokenizer.save_pretrained`` writes it
generator/       as its ``save_pretrained`` writes it
README.md        the model card
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from textok.config import TextConfig
from textok.config.check import require
from textok.config.generator import SamplingConfig
from textok.config.read import build_part
from textok.data.class_captions import (
    ClassCaptions,
    read_class_captions,
    write_class_captions,
)
from textok.generator import DiT, MaskGIT, TokenGenerator, load_generator
from textok.latents import LatentScale
from textok.pipeline.card import pipeline_card
from textok.runtime.files import WRITING, named_errors, replace_folder, write_text
from textok.runtime.own_folder import foreign_files
from textok.runtime.pretrained import CARD, CONFIG, find_folder, read_json
from textok.runtime.untrusted import model_file
from textok.tokenizer import Tokenizer

SETTINGS, CAPTIONS = "pipeline.json", "captions.json"
TOKENIZER, GENERATOR = "tokenizer", "generator"


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """What a pipeline folder holds."""

    tokenizer: Tokenizer
    generator: TokenGenerator
    scale: LatentScale | None = None
    """Between the tokenizer's latents and those that the generator was trained on; None where it
    makes codes."""
    text: TextConfig | None = None
    """Whose states the generator reads; None where it reads classes."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How images are sampled by default."""
    classes: Sequence[str] = ()
    class_captions: Mapping[str, ClassCaptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ours = self.generator.config
        scaled = 0 if self.scale is None else len(self.scale.mean)
        ours.check_tokenizer(self.tokenizer.config, scaled=scaled)
        require(
            ours.condition != "text" or self.text is not None,
            "text is missing: the generator reads captions",
        )
        require(
            ours.condition != "class" or len(self.classes) == ours.classes,
            f"classes has {len(self.classes)} names, the generator has {ours.classes} classes",
        )
        twice = [name for name, count in Counter(self.classes).items() if count > 1]
        require(not twice, f"classes has {', '.join(twice[:3])} more than once: name each but once")


@dataclass(frozen=True, kw_only=True)
class _Scale:
    mean: list[float]
    std: list[float]

    def read(self) -> LatentScale:
        """Raises ValueError where the two differ in length, and for a std below 0."""
        require(
            len(self.mean) == len(self.std),
            f"scale.mean has {len(self.mean)} numbers, scale.std {len(self.std)}",
        )
        require(all(std >= 0 for std in self.std), f"scale.std is {self.std}: none may be below 0")
        return LatentScale(torch.tensor(self.mean), torch.tensor(self.std))


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """``pipeline.json``."""

    scale: _Scale | None
    text: TextConfig | None
    sampling: SamplingConfig
    classes: tuple[str, ...]


def save_pipeline(
    folder: str | Path,
    parts: PipelineParts,
    *,
    precision: torch.dtype | None = None,
    example: str = "a red apple",
    notes: str = "",
) -> Path:
    """Write a pipeline folder, weights in ``precision``; it appears whole or not at all.

    The model card shows ``example`` as prompt (a class where the generator takes classes) and ends
    with ``notes``, Markdown on data, licence and limits. An older pipeline in ``folder`` is
    replaced. Raises ValueError where ``folder`` holds anything else.
    """
    folder = Path(folder).absolute()
    _check_pipeline_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        named_errors(folder),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=WRITING) as part,
    ):
        whole = Path(part) / "pipeline"  # made here, so that it has the usual rights
        parts.tokenizer.save_pretrained(whole / TOKENIZER, precision=precision)
        parts.generator.save_pretrained(whole / GENERATOR, precision=precision)
        _write_settings(whole, parts)
        card = pipeline_card(
            parts.tokenizer.config,
            parts.generator.config,
            text=parts.text,
            sampling=parts.sampling,
            example=next(iter(parts.classes), example),
        )
        write_text(whole / CARD, f"{card}\n{notes}" if notes else card)
        replace_folder(whole, folder)
    return folder


def load_pipeline(
    source: str | Path, *, revision: str | None = None, token: str | None = None
) -> PipelineParts:
    """Read the bundled name, a folder or a hub repository; weights come as float32.

    ``revision`` and ``token`` are those of ``textok.runtime.repository.fetch_repository``.

    Raises ValueError naming the file, key or setting that does not fit.
    """
    folder = find_folder(source, revision=revision, token=token)
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(
            f"{source}: {_held_instead(folder)}; a run of `textok train generator` has a model/"
        )
    settings = build_part(_Settings, read_json(model_file(path)), path, "")
    known = folder / CAPTIONS
    for name in (TOKENIZER, GENERATOR):
        require((folder / name).is_dir(), f"{folder}: has no {name}/; copy the folder again")
    tokenizer = Tokenizer.from_pretrained(folder / TOKENIZER)
    generator = load_generator(folder / GENERATOR)
    captions = read_class_captions(model_file(known)) if known.is_file() else {}
    try:
        return PipelineParts(
            tokenizer=tokenizer,
            generator=generator,
            scale=None if settings.scale is None else settings.scale.read(),
            text=settings.text,
            sampling=settings.sampling,
            classes=settings.classes,
            class_captions=captions,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _held_instead(folder: Path) -> str:
    """What a folder holds that is no pipeline."""
    path = folder / CONFIG
    if path.is_file() and {DiT.kind, MaskGIT.kind} & set(read_json(path)):
        return "holds a generator without its tokenizer, name the folder above"
    if (folder / TOKENIZER).is_dir() or path.is_file():
        return "holds a tokenizer but no generator"
    return f"holds no {SETTINGS}"


def read_scale(folder: Path) -> LatentScale | None:
    """The scale of the latents of the pipeline in ``folder``; None where it makes codes."""
    path = folder / SETTINGS
    scale = build_part(_Settings, read_json(model_file(path)), path, "").scale
    return None if scale is None else scale.read()


def _write_settings(folder: Path, parts: PipelineParts) -> None:
    scale = parts.scale
    settings = _Settings(
        scale=None if scale is None else _Scale(mean=scale.mean.tolist(), std=scale.std.tolist()),
        text=parts.text,
        sampling=parts.sampling,
        classes=tuple(parts.classes),
    )
    text = json.dumps(asdict(settings), indent=2, ensure_ascii=False) + "\n"
    write_text(folder / SETTINGS, text)
    if parts.class_captions:
        write_class_captions(folder / CAPTIONS, parts.class_captions)


def _check_pipeline_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but a pipeline."""
    foreign = foreign_files(
        folder,
        {SETTINGS, CAPTIONS, CARD, TOKENIZER, GENERATOR},
        made_here=lambda there: (there / SETTINGS).is_file(),
    )
    require(
        not foreign, f"{folder}: not a pipeline folder ({', '.join(foreign[:3])}): name another"
    )
