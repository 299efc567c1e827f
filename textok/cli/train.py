"""``textok train tokenizer|vqgan|generator|maskgit PRESET... [--dial value]``."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.check import require
from textok.config.presets import preset_path
from textok.config.read import load_config, merge

Settings = TypeVar(
    "Settings", TrainTokenizerConfig, TrainVQGANConfig, TrainGeneratorConfig, TrainMaskGITConfig
)


def train_tokenizer(arguments: list[str]) -> None:
    """Train a tokenizer on captioned images."""
    config = _read(TrainTokenizerConfig, arguments, what="tokenizer", example=TOKENIZER_EXAMPLE)

    from textok.train import train_tokenizer

    train_tokenizer(config)


def train_vqgan(arguments: list[str]) -> None:
    """Train a VQGAN, whose codes a two-stage tokenizer learns."""
    config = _read(TrainVQGANConfig, arguments, what="vqgan", example=VQGAN_EXAMPLE)

    from textok.train import train_vqgan

    train_vqgan(config)


def train_generator(arguments: list[str]) -> None:
    """Train a DiT generator on the tokens of `textok extract`."""
    config = _read(TrainGeneratorConfig, arguments, what="generator", example=GENERATOR_EXAMPLE)

    from textok.train import train_generator

    train_generator(config)


def train_maskgit(arguments: list[str]) -> None:
    """Train a masked generator on the codes of a `vq` tokenizer."""
    config = _read(TrainMaskGITConfig, arguments, what="maskgit", example=MASKGIT_EXAMPLE)

    from textok.train import train_maskgit

    train_maskgit(config)


def _read(cls: type[Settings], arguments: list[str], *, what: str, example: str) -> Settings:
    """The settings that the words ask for, once everything that training needs is there."""
    presets, flags = split_arguments(arguments)
    if "-h" in flags or "--help" in flags:
        default = load_config(cls, [preset_path(name) for name in presets])
        _show_help(default, what=what, example=example)
    config = training_config(cls, presets, flags)
    for package in ("accelerate", "matplotlib", "tensorboard"):
        missing = importlib.util.find_spec(package) is None
        require(not missing, f"training needs {package}: pip install 'textok[train]'")
    return config


def training_config(cls: type[Settings], presets: Sequence[str], flags: Sequence[str]) -> Settings:
    """Merge presets (names or ``.yaml`` files) left to right, then flags, and name the run.

    Raises ValueError, one line, for what does not fit.
    """
    require(bool(presets), "name a preset or a .yaml file first: `textok presets` lists them")
    paths = [preset_path(name) for name in presets]
    config = load_config(cls, paths, read_flags(flags))
    if config.run.out:
        return config
    out = Path("runs") / "-".join(path.stem for path in paths)
    return replace(config, run=replace(config.run, out=str(out)))


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Presets come first; the first word with a dash starts the flags."""
    words = list(arguments)
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], words[first:]


def read_flags(flags: Sequence[str]) -> dict[str, object]:
    """``--optim.lr 2e-4 --optim.betas .9 .95 --tokenizer.nested`` as a nested mapping of texts.

    A flag takes the words up to the next flag: none is true, several are a list. The same strict
    reader as for YAML judges them, so a name of VIT_SIZES works here too.
    """
    read: dict[str, object] = {}
    words = [word for flag in flags for word in _split_equals(flag)]
    while words:
        flag = words.pop(0)
        require(flag.startswith("--"), f"'{flag}' is not a flag: write --group.name value")
        taken: list[str] = []
        while words and not words[0].startswith("--"):
            taken.append(words.pop(0))
        value: object = taken[0] if len(taken) == 1 else taken or "true"
        for name in reversed(flag.removeprefix("--").replace("-", "_").split(".")):
            value = {name: value}
        assert isinstance(value, dict)
        read = merge(read, value)
    return read


def _split_equals(word: str) -> list[str]:
    """``--a=b`` as two words; any other word as it is."""
    return word.split("=", 1) if word.startswith("--") else [word]


def _show_help(config: Settings, *, what: str, example: str) -> None:
    """Print every dial with its value after merging, and exit."""
    import tyro

    tyro.cli(
        type(config),
        prog=f"textok train {what} PRESET...",
        description=_HELP.format(what=what, example=example),
        default=config,
        args=["--help"],
        use_underscores=True,
        config=(tyro.conf.FlagConversionOff,),
    )


TOKENIZER_EXAMPLE = "tiny-64 --data.path my-images --optim.lr 2e-4"
VQGAN_EXAMPLE = "vqgan-64 --data.path my-images --optim.lr 2e-4"
GENERATOR_EXAMPLE = "dit-tiny-64 --latents.path my-latents --optim.lr 2e-4"
MASKGIT_EXAMPLE = "maskgit-pictograms-64 --latents.path my-latents --optim.lr 2e-4"

_HELP = """Train a {what}; the same command continues a run that was stopped.

PRESET is a name of `textok presets` or a .yaml file; several merge left to right, flags last.

Example: textok train {what} {example}
"""
