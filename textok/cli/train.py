"""``textok train tokenizer|vqgan|generator|maskgit PRESET... [--name value]``."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from textok.cli.options import Names
from textok.cli.words import finish, from_files, split_words
from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.check import require
from textok.config.presets import preset_path
from textok.config.read import merge

Settings = TypeVar(
    "Settings", TrainTokenizerConfig, TrainVQGANConfig, TrainGeneratorConfig, TrainMaskGITConfig
)


def train_tokenizer(config: TrainTokenizerConfig) -> None:
    """Train a tokenizer on captioned images.

    Example: textok train tokenizer tiny-64 --data.path my-images --optim.lr 2e-4
    """
    _check_packages()
    from textok.train import train_tokenizer

    train_tokenizer(config)


def train_vqgan(config: TrainVQGANConfig) -> None:
    """Train a VQGAN, whose codes a two-stage tokenizer learns.

    Example: textok train vqgan vqgan-64 --data.path my-images --optim.lr 2e-4
    """
    _check_packages()
    from textok.train import train_vqgan

    train_vqgan(config)


def train_generator(config: TrainGeneratorConfig) -> None:
    """Train a DiT generator on the tokens of `textok extract`.

    Example: textok train generator dit-tiny-64 --latents.path my-latents --optim.lr 2e-4
    """
    _check_packages()
    from textok.train import train_generator

    train_generator(config)


def train_maskgit(config: TrainMaskGITConfig) -> None:
    """Train a masked generator on the codes of a `vq` tokenizer.

    Example: textok train maskgit maskgit-pictograms-64 --latents.path my-latents --optim.lr 2e-4
    """
    _check_packages()
    from textok.train import train_maskgit

    train_maskgit(config)


ABOUT = """\
The same command continues a run that was stopped. PRESET is a name of `textok presets` or a .yaml
file; several merge left to right, flags last."""


def training_config(
    settings: type[Settings], words: Sequence[str], *, prog: str = "textok train"
) -> Settings:
    """Merge presets (names or ``.yaml`` files) left to right, then flags, and name the run.

    Raises ValueError, one line, for what does not fit.
    """
    names = Names(settings)
    split = split_words(names, words, prog=prog)
    presets = [preset_path(name) for name in split.loose]
    files = presets + split.files
    require(bool(files), "name a preset or a .yaml file first: `textok presets` lists them")
    config = finish(settings, names, merge(from_files(settings, files), split.flags), prog=prog)
    if config.run.out:
        return config
    out = Path("runs") / "-".join(path.stem for path in files)
    return replace(config, run=replace(config.run, out=str(out)))


def _check_packages() -> None:
    for package in ("accelerate", "matplotlib", "tensorboard"):
        missing = importlib.util.find_spec(package) is None
        require(not missing, f"training needs {package}: pip install 'textok[train]'")
