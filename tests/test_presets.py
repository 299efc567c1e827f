"""What the packaged presets promise: they read, they build, their commands parse."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest
import torch
from torch import nn

from textok.cli.train import training_config
from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.presets import preset_names, preset_path, preset_summary
from textok.config.read import load_config
from textok.generator import DiT, MaskGIT
from textok.generator.guidance import guidance_scale
from textok.losses.discriminator import StyleGANDiscriminator
from textok.tokenizer import Tokenizer
from textok.vqgan import VQGAN

BUDGETS = {"k32": 32, "k64": 64, "k128": 128, "k256": 256}


def trainings(name: str) -> list[list[str]]:
    """The words after `textok` of each command in the preset's comment that trains."""
    comments = preset_path(name).read_text(encoding="utf-8")
    commands = re.findall(r"^# +(?:accelerate launch -m )?textok(?:\.cli)? (.*)$", comments, re.M)
    return [shlex.split(command) for command in commands if command.startswith("train ")]


SETTINGS: dict[str, type[Any]] = {
    "tokenizer": TrainTokenizerConfig,
    "generator": TrainGeneratorConfig,
    "vqgan": TrainVQGANConfig,
    "maskgit": TrainMaskGITConfig,
}
OF = {kind: [name for name in preset_names() if trainings(name)[0][1] == kind] for kind in SETTINGS}
OF_GENERATORS, OF_TOKENIZERS = OF["generator"], OF["tokenizer"]


def load(*names: str) -> TrainTokenizerConfig:
    return load_config(TrainTokenizerConfig, [preset_path(name) for name in names])


def maskgit(name: str, *, num_tokens: int, codebook_size: int, **known: int) -> MaskGIT:
    """The generator of a preset, for codes and conditions as they are known of the latents."""
    config = load_config(TrainMaskGITConfig, [preset_path(name)])
    shape = replace(config.generator, num_tokens=num_tokens, codebook_size=codebook_size, **known)
    with torch.device("meta"):
        return MaskGIT(shape)


def dit(*names: str, num_tokens: int = 16, text_width: int = 384) -> DiT:
    """The generator of merged presets, for latents of 8 channels in as many tokens, without data.

    Of 1,000 classes, or of states as wide as those of the text encoder that the presets name.
    """
    config = load_config(TrainGeneratorConfig, [preset_path(name) for name in names])
    by_class = config.generator.condition == "class"
    known = {"classes": 1000} if by_class else {"text_width": text_width}
    shape = replace(
        config.generator,
        num_tokens=num_tokens,
        channels=8,
        text_tokens=0 if by_class else config.text.out_tokens,
        **known,
    )
    with torch.device("meta"):
        return DiT(shape)


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize("name", OF_TOKENIZERS)
def test_every_preset_builds_its_tokenizer(name: str) -> None:
    config = load(name)
    with torch.device("meta"):
        tokenizer = Tokenizer(config.tokenizer, text=config.text)
    assert tokenizer.config == config.tokenizer


@pytest.mark.parametrize("name", OF_GENERATORS)
def test_every_preset_builds_its_generator(name: str) -> None:
    stated = re.search(r"([\d.]+) M parameters\.$", preset_summary(name))
    if stated and "class" not in name:  # the pictograms have other classes than ImageNet
        assert millions(dit(name)) == pytest.approx(float(stated[1]), abs=0.06)
    else:
        assert millions(dit(name)) > 1


@pytest.mark.parametrize(
    ("presets", "size"),
    # By class as published with DiT (458 M and 675 M at patch 2). Captions take 4 width^2 a block
    # for cross-attention, and a projection of their states in place of the classes.
    [
        (["dit-class"], 458.0),
        (["dit-class", "dit-xl"], 675.0),
        (["dit-text"], 560.0),
        (["dit-text", "dit-xl"], 825.1),
    ],
)
@pytest.mark.parametrize("num_tokens", [32, 256])
def test_the_papers_generators_build(presets: list[str], size: float, num_tokens: int) -> None:
    generator = dit(*presets, num_tokens=num_tokens, text_width=2048)
    assert millions(generator) == pytest.approx(size, abs=0.2)


def test_the_class_conditional_generator_is_trained_as_dit_is() -> None:
    config = load_config(TrainGeneratorConfig, [preset_path("dit-class")])
    assert (config.generator.objective.outputs, config.sampling.sampler) == (2, "ddpm")
    assert (config.optim.lr, config.optim.weight_decay, config.optim.final_lr_share) == (1e-4, 0, 1)
    assert (config.text.drop, config.run.batch_size, config.run.ema) == (0.1, 256, 0.9999)
    assert config.run.steps * config.run.batch_size / 1_281_167 == pytest.approx(350, rel=0.001)


@pytest.mark.parametrize("name", OF["vqgan"])
def test_every_preset_builds_its_vqgan(name: str) -> None:
    config = load_config(TrainVQGANConfig, [preset_path(name)])
    with torch.device("meta"):
        vqgan = VQGAN(config.vqgan)
    stated = re.search(r"([\d.]+) M parameters\.$", preset_summary(name))
    assert stated and millions(vqgan) == pytest.approx(float(stated[1]), rel=0.02)


@pytest.mark.parametrize("name", OF["maskgit"])
def test_every_preset_builds_its_maskgit(name: str) -> None:
    config = load_config(TrainMaskGITConfig, [preset_path(name)])
    by_class = config.generator.condition == "class"
    known = (
        {"classes": 10} if by_class else {"text_width": 384, "text_tokens": config.text.out_tokens}
    )
    built = maskgit(name, num_tokens=16, codebook_size=1024, **known)
    stated = re.search(r"([\d.]+) M parameters\.$", preset_summary(name))
    assert millions(built) == pytest.approx(float(stated[1]), abs=0.06) if stated else True
    config.generator.check_sampling(config.sampling)


@pytest.mark.parametrize(
    ("presets", "ours", "theirs"),
    # In millions, all of it, in training: theirs by the official code on the published settings.
    # Ours holds sums of a mask or class token and a position as one.
    [
        (["titok-stage1", "titok-l", "k32", "titok-stage2"], 641.019, 641.055),
        (["titok-stage1", "titok-b", "k64", "titok-stage2"], 204.763, 204.814),
        (["titok-stage1", "titok-s", "k128", "titok-stage2"], 83.608, 83.675),
        (["titok-vq", "titok-bl", "k64"], 389.964, 390.016),
        (["titok-vq", "titok-bl", "k128"], 390.079, 390.180),
        (["titok-vq", "titok-sl", "k256"], 330.127, 330.261),
        (["titok-kl", "titok-l", "k32"], 606.844, 606.880),
        (["titok-kl", "titok-bl", "k64"], 389.366, 389.418),
        (["titok-kl", "titok-bl", "k128"], 389.481, 389.582),
        (["tatitok-vq", "titok-bl", "k32"], 390.773, 390.801),
        (["tatitok-vq", "titok-bl", "k64"], 390.830, 390.882),
        (["tatitok-vq", "titok-bl", "k128"], 390.945, 391.046),
        (["tatitok-kl", "titok-bl", "k32"], 390.175, 390.202),
        (["tatitok-kl", "titok-bl", "k64"], 390.232, 390.284),
        (["tatitok-kl", "titok-sl", "k128"], 330.207, 330.275),
    ],
)
def test_titok_s_published_tokenizers_build(presets: list[str], ours: float, theirs: float) -> None:
    config = load(*presets)
    with torch.device("meta"):
        tokenizer = Tokenizer(config.tokenizer, text=config.text)
    assert millions(tokenizer) == pytest.approx(ours, abs=0.001)
    assert millions(tokenizer) == pytest.approx(theirs, rel=0.001)
    assert config.tokenizer.layout == "titok" and not config.tokenizer.legacy_reshape
    assert config.tokenizer.grid == 16
    assert config.tokenizer.text == ("decoder" if presets[0].startswith("ta") else "none")
    assert config.freeze_encoder == (presets[-1] == "titok-stage2")


@pytest.mark.parametrize(
    ("presets", "steps", "warmup", "beta", "gan"),
    [
        (["titok-stage1"], 1_000_000, 10_000, 0.99, None),
        (["titok-stage1", "titok-stage2"], 500_000, 5_000, 0.999, (0.01, 20_000)),
        (["tatitok-vq"], 650_000, 10_000, 0.999, (0.1, 200_000)),
        (["tatitok-kl"], 650_000, 10_000, 0.999, (0.1, 200_000)),
    ],
)
def test_titok_s_tokenizers_are_trained_as_published(
    presets: list[str], steps: int, warmup: int, beta: float, gan: tuple[float, int] | None
) -> None:
    config = load(*presets)
    optim, loss = config.optim, config.loss
    assert (config.run.steps, config.run.batch_size, config.run.ema) == (steps, 256, 0.999)
    assert (optim.lr, optim.betas, optim.weight_decay) == (1e-4, (0.9, beta), 1e-4)
    assert (optim.warmup, optim.lr * optim.final_lr_share, optim.clip) == (warmup, 1e-5, 1)
    assert (loss.codes, loss.pixels) == ((1, False) if gan is None else (0, True))
    if gan is not None:
        assert (loss.gan.weight, loss.gan.start) == gan
        # Published for images in [0, 1]: errors of ours are twice as large.
        assert loss.l2 * 2**2 == 1


@pytest.mark.parametrize(
    ("preset", "num_tokens", "ours", "theirs"),
    # BERT's token types, of which one is used, are part of our positions.
    [
        ("maskgit-titok-l32", 32, 177_200_896, 177_202_432),
        ("maskgit-titok-b64", 64, 177_225_472, 177_227_008),
        ("maskgit-titok-s128", 128, 294_990_848, 294_990_848),
    ],
)
def test_titok_s_published_generators_build(
    preset: str, num_tokens: int, ours: int, theirs: int
) -> None:
    built = maskgit(preset, num_tokens=num_tokens, codebook_size=4096, classes=1000)
    count = sum(parameter.numel() for parameter in built.parameters())
    assert count == ours == theirs - (2 * 768 if "s128" not in preset else 0)


@pytest.mark.parametrize(
    ("preset", "steps", "scales"),
    # The published scale s is added to 1, from none at the first step on; with power_cosine it is
    # the scale itself.
    [
        ("maskgit-titok-l32", 8, {0: 1.0, 4: 1 + 4.5 * 0.5}),
        ("maskgit-titok-b64", 8, {0: 1.0, 4: 1 + 3.0 * 0.5}),
        ("maskgit-titok-s128", 64, {0: 1.0, 32: 1 + 5.9 * (1 - math.cos(math.pi / 8)) / 2}),
    ],
)
def test_titok_s_published_sampling(preset: str, steps: int, scales: dict[int, float]) -> None:
    sampling = load_config(TrainMaskGITConfig, [preset_path(preset)]).sampling
    assert (sampling.sampler, sampling.steps, sampling.softmax_annealing) == (
        "maskgit",
        steps,
        True,
    )
    for step, scale in scales.items():
        assert guidance_scale(sampling.guidance, 1 - step / steps) == pytest.approx(scale)


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


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(
    ("preset", "flow", "ours"),
    # A D = 768 decoder of 12 blocks: one adaptive norm of 6 D^2, as docs/results/costs counts.
    [("textok-256", "flow-256", 181.2), ("textok-512", "flow-512", 185.3)],
)
def test_flow_decoders_of_the_papers_size_build(
    preset: str, flow: str, ours: float, budget: str
) -> None:
    base, config = load(preset, budget), load(preset, budget, flow)
    assert config.tokenizer.decoding == "flow" and config.loss.gan.weight == 0
    assert (config.run, config.data, config.text) == (base.run, base.data, base.text)
    with torch.device("meta"):
        plain, sampling = (millions(Tokenizer(one.tokenizer)) for one in (base, config))
    assert sampling == pytest.approx(ours, abs=0.3)
    assert 1.02 < sampling / plain < 1.04


def test_one_step_is_distilled_with_the_teacher_s_encoder() -> None:
    base, config = load("products-flow-64"), load("products-flow-64", "flow-one-step")
    assert replace(config.tokenizer, sampling=base.tokenizer.sampling) == base.tokenizer
    assert (config.tokenizer.sampling.steps, config.loss.distillation.steps) == (1, 16)
    assert config.freeze_encoder and config.optim == base.optim


@pytest.mark.parametrize("preset", ["textok-256", "textok-512"])
def test_the_papers_discriminator_builds(preset: str) -> None:
    config = load(preset)
    with torch.device("meta"):
        discriminator = StyleGANDiscriminator(
            image_size=config.tokenizer.image_size, channel_max=config.loss.gan.base
        )
    assert millions(discriminator) == pytest.approx(24.0, abs=0.1)


def test_the_recipe_of_the_earlier_code_is_merged_over_the_papers_tokenizer() -> None:
    base, config = load("textok-256"), load("textok-256", "magvit-recipe")
    assert config.tokenizer == base.tokenizer and config.run == base.run
    loss, gan, optim = config.loss, config.loss.gan, config.optim
    assert (loss.perceptual, loss.logits, loss.logits_net) == (0, 0.1, "resnet50")
    # There on images in [0, 1]: errors of ours are twice as large, slopes half as large. R1 is half
    # its weight times the squared slope here, all of it there.
    assert loss.l2 * 2**2 == 1
    assert gan.r1 / 2 * (1 / 2) ** 2 == 10
    assert (gan.weight, gan.loss, gan.first_step, gan.start) == (0.1, "non_saturating", 0, 0)
    assert (gan.lr, gan.betas, gan.weight_decay) == (optim.lr, optim.betas, optim.weight_decay)
    assert (optim.lr, optim.betas, optim.weight_decay) == (1e-4, (0, 0.99), 0)


@pytest.mark.parametrize("preset", ["textok-256", "textok-512", "photographs-64"])
def test_another_text_encoder_is_merged_over_a_tokenizer(preset: str) -> None:
    base, config = load(preset), load(preset, "text-multilingual")
    assert config.text.encoder == "google/umt5-xl"
    # d_model of its config.json, as of mT5-XL.
    assert config.tokenizer == replace(base.tokenizer, text_width=2048)
    with torch.device("meta"):
        tokenizer = Tokenizer(config.tokenizer, text=config.text)
    assert (
        tokenizer.text_config
        == replace(base.text, encoder="google/umt5-xl", precision="bf16").portable
    )


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
    assert trainings(name)
    for _, kind, *words in trainings(name):
        presets = list(takewhile(lambda word: not word.startswith("-"), words))
        merged = {"tokenizer": "k32", "generator": "dit-xl"}.get(kind)
        assert name in presets or merged in presets
        assert training_config(SETTINGS[kind], words).run.out == f"runs/{'-'.join(presets)}"
    comments = preset_path(name).read_text(encoding="utf-8")
    for promise in ("# Cost", "# Score to expect"):
        assert promise in comments


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"^no preset is called 'textok256': did you mean 'textok-256'"
    ):
        preset_path("textok256")
    with pytest.raises(ValueError, match=r"^no preset is called 'q': `textok presets` lists them$"):
        preset_path("q")
