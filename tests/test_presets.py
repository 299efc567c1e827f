"""What the packaged presets promise: they read, they build, their commands parse."""

from __future__ import annotations

import re
import shlex

import pytest
import torch
from torch import nn

from textok.cli.train import split_arguments, training_config
from textok.config import TrainTokenizerConfig
from textok.config.presets import preset_names, preset_path, preset_summary
from textok.config.read import load_config
from textok.losses.discriminator import StyleGANDiscriminator
from textok.tokenizer import Tokenizer

BUDGETS = {"k32": 32, "k64": 64, "k128": 128, "k256": 256}


def load(*names: str) -> TrainTokenizerConfig:
    return load_config(TrainTokenizerConfig, [preset_path(name) for name in names])


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_its_tokenizer(name: str) -> None:
    config = load(name)
    with torch.device("meta"):
        tokenizer = Tokenizer(config.tokenizer, text=config.text)
    assert tokenizer.config == config.tokenizer


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(
    ("preset", "text_width", "patch", "with_text", "without"),
    # Of these, the captions' two projections and embeddings are 3.3 M (T5-XL) and 6.5 M (T5-XXL).
    [("textok-256", 2048, 8, 175.5, 172.2), ("textok-512", 4096, 16, 179.6, 173.1)],
)
def test_the_papers_tokenizers_build(
    preset: str, text_width: int, patch: int, with_text: float, without: float, budget: str
) -> None:
    config = load(preset, budget).tokenizer
    assert (config.num_tokens, config.channels) == (BUDGETS[budget], 8)
    assert (config.text_width, config.patch_size, config.grid**2) == (text_width, patch, 1024)
    baseline = load(preset, budget, "no-text").tokenizer
    assert baseline.text == "none"
    with torch.device("meta"):
        assert millions(Tokenizer(config)) == pytest.approx(with_text, abs=0.25)
        assert millions(Tokenizer(baseline)) == pytest.approx(without, abs=0.25)


@pytest.mark.parametrize("preset", ["textok-256", "textok-512"])
def test_the_papers_discriminator_builds(preset: str) -> None:
    config = load(preset)
    with torch.device("meta"):
        discriminator = StyleGANDiscriminator(
            image_size=config.tokenizer.image_size, channel_max=config.loss.gan.base
        )
    assert millions(discriminator) == pytest.approx(24.0, abs=0.1)


@pytest.mark.parametrize("preset", ["tiny-64", "pictograms-64"])
def test_the_small_presets_are_under_10_megabytes_in_bf16_and_need_no_download(preset: str) -> None:
    config = load(preset)
    assert (config.text.encoder, config.loss.perceptual_net) == ("minilm", "efficientnet_lite0")
    with torch.device("meta"):
        tokenizer = Tokenizer(config.tokenizer, text=config.text)
    assert 1 < millions(tokenizer) < 5


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_for_and_how_it_is_run(name: str) -> None:
    assert preset_summary(name).endswith(".")
    comments = preset_path(name).read_text(encoding="utf-8")
    commands = re.findall(r"^# +(?:accelerate launch -m )?textok(?:\.cli)? (.*)$", comments, re.M)
    trainings = [command for command in commands if command.startswith("train tokenizer ")]
    assert trainings
    for command in trainings:
        presets, flags = split_arguments(shlex.split(command)[2:])
        assert name in presets or "k32" in presets
        assert training_config(TrainTokenizerConfig, presets, flags).run.out == f"runs/{'-'.join(presets)}"
    for promise in ("# Cost: ", "# Score to expect"):
        assert promise in comments


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"^no preset is called 'textok256': did you mean 'textok-256'"
    ):
        preset_path("textok256")
    with pytest.raises(ValueError, match=r"^no preset is called 'q': `textok presets` lists them$"):
        preset_path("q")
