"""What a checkpoint of bytedance/1d-tokenizer is, and its way into a folder of ours."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from textok.config.check import require
from textok.convert.maskgit import convert_bert, convert_uvit, published_sampling
from textok.convert.maskgit_vqgan import convert_vqgan
from textok.convert.official import Official
from textok.convert.source import read_source
from textok.convert.titok import convert_titok
from textok.generator.maskgit import MaskGIT
from textok.pipeline import PipelineParts, save_pipeline
from textok.pipeline.folder import CAPTIONS, GENERATOR, SETTINGS, TOKENIZER
from textok.runtime.card import base_models, read_header, write_header
from textok.runtime.files import WRITING, named_errors, replace_folder, require_writable
from textok.runtime.own_folder import foreign_files
from textok.runtime.pretrained import ASSETS, CARD, CONFIG, MODELS, WEIGHTS, read_json
from textok.runtime.repository import is_repository, split_revision
from textok.runtime.untrusted import check_finite
from textok.tokenizer import Tokenizer
from textok.vqgan import VQGAN

Model = Tokenizer | MaskGIT | VQGAN
M = TypeVar("M", bound=Model)

GENERATORS: dict[str, Callable[[Official], MaskGIT]] = {
    "model.encoder.layer.": convert_bert,
    "in_blocks.": convert_uvit,
}
"""By what keys of each kind start with, and of no other."""
OTHERS: dict[str, Callable[[Official], Tokenizer | VQGAN]] = {
    "encoder.transformer.": convert_titok,
    "decoder.transformer.": convert_titok,
    "encoder.down.": convert_vqgan,
}

UNSUPPORTED = {
    "adaln_before_head.": "a RAR generator",
    "diffloss.": "a MaskGen generator (KL)",
    "text_embed_proj.": "a MaskGen generator (VQ)",
}

IMAGENET = 1000
FILES = {CONFIG, WEIGHTS, CARD, SETTINGS, CAPTIONS, TOKENIZER, GENERATOR}
"""What the folder of a model or pipeline of ours holds."""


def convert_1d_tokenizer(source: str, out: Path, *, tokenizer: str | None = None) -> Model:
    """Write the released weights ``source`` as a model of ours into ``out``; returns the model.

    A generator becomes a whole pipeline where ``tokenizer`` names a converted tokenizer. ``out``
    appears whole or not at all. Of several weights a warning says which were chosen. Raises
    ValueError, one line, for what is no such checkpoint or does not fit, and for an ``out`` that
    holds anything but a model of ours.
    """
    out = out.absolute()
    _check_model_folder(out)
    require_writable(out.parent)
    checkpoint = read_source(source, [*GENERATORS, *OTHERS, *UNSUPPORTED])
    check_finite(checkpoint.tensors, where=checkpoint.where)
    weights = Official(checkpoint)
    for start, name in UNSUPPORTED.items():
        require(not weights.has(start), f"{weights.where}: {name}, which textok does not have")
    generator = _converted(weights, GENERATORS)
    model = _converted(weights, OTHERS) if generator is None else generator
    if model is None:
        raise ValueError(
            f"{weights.where}: no TiTok, TA-TiTok, ImageBert, U-ViT or MaskGIT-VQGAN of "
            f"1d-tokenizer: its keys are {weights.first_keys()}"
        )
    require(
        tokenizer is None or generator is not None,
        f"{source}: no generator: leave out --tokenizer",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        named_errors(out),
        tempfile.TemporaryDirectory(dir=out.parent, prefix=WRITING) as part,
    ):
        whole = Path(part) / "model"  # made here, so that it has the usual rights
        if tokenizer is not None and generator is not None:
            save_pipeline(whole, _pipeline(generator, tokenizer))
        else:
            model.save_pretrained(whole)
        _name_base_models(whole, source, tokenizer)
        replace_folder(whole, out)
    if checkpoint.note is not None:
        warnings.warn(checkpoint.note, stacklevel=2)
    return model


def class_names(number: int) -> tuple[str, ...]:
    """Of ImageNet where there are as many classes, else their numbers."""
    if number != IMAGENET:
        return tuple(map(str, range(number)))
    lines = (ASSETS / "imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition(" ")[2] for line in lines)


def _converted(weights: Official, kinds: Mapping[str, Callable[[Official], M]]) -> M | None:
    """The model of the kind that the keys say; None where it is none of ``kinds``."""
    found = next((convert for start, convert in kinds.items() if weights.has(start)), None)
    return None if found is None else found(weights)


def _pipeline(generator: MaskGIT, tokenizer: str) -> PipelineParts:
    return PipelineParts(
        tokenizer=Tokenizer.from_pretrained(tokenizer),
        generator=generator,
        sampling=published_sampling(generator.config),
        classes=class_names(generator.config.classes),
    )


def _name_base_models(folder: Path, source: str, tokenizer: str | None) -> None:
    """Into the card, where there is one: the hub repositories that were converted."""
    named = [source] if is_repository(source) and not Path(source).exists() else []
    if tokenizer is not None and Path(tokenizer).is_dir():
        named += base_models(Path(tokenizer))
    if named and (folder / CARD).is_file():
        bases = [split_revision(name)[0] for name in named]
        write_header(folder, {**read_header(folder), "base_model": bases})


def _check_model_folder(out: Path) -> None:
    """Refuse to replace a folder that holds anything but a model of ours."""
    foreign = foreign_files(out, FILES, made_here=_is_model)
    require(
        not foreign,
        f"{out}: holds something else than a textok model ({', '.join(foreign[:3])}): name another",
    )


def _is_model(folder: Path) -> bool:
    """Whether it holds a model of one of our kinds, or a pipeline."""
    if (folder / SETTINGS).is_file():
        return True
    config = folder / CONFIG
    return config.is_file() and bool(MODELS & read_json(config).keys())
