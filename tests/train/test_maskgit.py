"""``train_maskgit`` from latents to pictures: what it leaves, refuses and starts from."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.jobs import STEPS
from textok.config import (
    GuidanceConfig,
    SamplingConfig,
    TextConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    ViTConfig,
)
from textok.config.read import load_config
from textok.generator import MaskGIT
from textok.pipeline import TextToImage
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import read_log
from textok.train import train_generator, train_maskgit
from textok.train.initial_generator import build_generator
from textok.train.maskgit import fitted
from textok.train.on_latents import open_both


def generator(**changes: Any) -> Callable[[TrainMaskGITConfig], TrainMaskGITConfig]:
    return lambda config: replace(config, generator=replace(config.generator, **changes))


def test_a_killed_run_ends_bit_identical(maskgit_runs) -> None:
    assert maskgit_runs.codes["after a log line"] == [-signal.SIGKILL]
    assert maskgit_runs.codes["whole"] == maskgit_runs.codes["to the end"] == [0]
    left, right = maskgit_runs.weights("killed"), maskgit_runs.weights("whole")
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert maskgit_runs.log("killed") == maskgit_runs.log("whole")
    for name in ("pipeline.json", "generator/model.safetensors"):
        saved = [
            (maskgit_runs.root / run / "model" / name).read_bytes() for run in ("killed", "whole")
        ]
        assert saved[0] == saved[1]


def test_processes_leave_out_by_chance_of_their_own(maskgit_runs) -> None:
    state = maskgit_runs.root / "two" / "checkpoints" / f"step-{STEPS:08d}" / "state.safetensors"
    first, second = (value for key, value in load_file(state).items() if "/rng/" in key)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("split", ["halves", "two"])
def test_how_the_batch_is_split_changes_nothing(maskgit_runs, split: str) -> None:
    whole, parts = maskgit_runs.weights("one"), maskgit_runs.weights(split)
    start = maskgit_runs.weights("one", step=8)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=2e-5, msg=key)
    name = "state/task/generator/head.weight"
    assert (whole[name] - start[name]).abs().max() > 3e-4
    for one, other in zip(maskgit_runs.log("one"), maskgit_runs.log(split), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-5)


def test_what_is_logged(maskgit_runs) -> None:
    log = maskgit_runs.log("whole")
    assert all(0 <= line["accuracy"] <= 1 and line["skipped"] == 0 for line in log)
    measured = {line["step"]: line for line in log if "val" in line}
    assert list(measured) == [5, 10]
    levels = [measured[10][f"val_m{level}"] for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert measured[10]["val"] == pytest.approx(sum(levels) / 5, rel=1e-4)


def test_what_is_left_is_a_pipeline_that_draws(maskgit_runs) -> None:
    folder = maskgit_runs.root / "whole"
    pipeline = TextToImage.from_pretrained(folder / "model")
    shape = pipeline.generator.config
    assert isinstance(pipeline.generator, MaskGIT) and pipeline.parts.scale is None
    assert (shape.num_tokens, shape.codebook_size, shape.classes) == (4, 16, 2)
    assert pipeline.classes == ["even", "odd"] and pipeline.sampling.sampler == "maskgit"
    assert pipeline.parts.class_captions["odd"].held_out == ("square number 4",)
    assert pipeline.of_class("odd")[0].size == (16, 16)
    assert len(list((folder / "sheets").iterdir())) == 2


def test_captions_too_can_ask(
    maskgit_config: TrainMaskGITConfig,
    text_codes: Path,
    tmp_path: Path,
) -> None:
    text = TextConfig(max_tokens=8, drop=0.3)
    uvit = ViTConfig(width=32, depth=2, heads=2)
    config = replace(
        generator(condition="text", architecture="uvit", network=uvit)(maskgit_config),
        latents=replace(maskgit_config.latents, path=str(text_codes)),
        text=text,
        prompts=("a green circle",),
        run=replace(maskgit_config.run, steps=2, out=str(tmp_path / "run")),
        fd_images=3,
    )
    folder = train_maskgit(config)
    assert read_log(folder)[-1]["fd"] > 0
    pipeline = TextToImage.from_pretrained(folder / "model")
    assert pipeline.parts.text == text and pipeline.classes == []
    assert pipeline("a green circle", steps=3, guidance=2.0)[0].size == (16, 16)


def test_a_dit_trains_on_the_vectors_of_codes(
    generator_config: TrainGeneratorConfig,
    codes: Path,
    tmp_path: Path,
) -> None:
    config = replace(
        generator_config,
        latents=replace(generator_config.latents, path=str(codes)),
        run=replace(generator_config.run, steps=2, out=str(tmp_path / "run")),
    )
    pipeline = TextToImage.from_pretrained(train_generator(config) / "model")
    assert pipeline.parts.scale is not None
    assert pipeline.of_class("odd")[0].size == (16, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (generator(num_tokens=3), "generator.num_tokens is 3 but .* have 4: leave it out"),
        (generator(codebook_size=32), "generator.codebook_size is 32 but .* have 16: leave it"),
        (lambda config: replace(config, init="nowhere"), "^nowhere: no such folder"),
        (lambda config: replace(config, prompts=("strange",)), "^prompts: 'strange': no class of"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_leave_no_folder(
    change: Callable[[TrainMaskGITConfig], TrainMaskGITConfig],
    message: str,
    maskgit_config: TrainMaskGITConfig,
    tmp_path: Path,
) -> None:
    run = replace(maskgit_config.run, out=str(tmp_path / "run"))
    with pytest.raises(ValueError, match=message) as refused:
        train_maskgit(change(replace(maskgit_config, run=run)))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_latents_without_codes_are_refused(
    maskgit_config: TrainMaskGITConfig, latents: Path, tmp_path: Path
) -> None:
    config = replace(
        maskgit_config,
        latents=replace(maskgit_config.latents, path=str(latents)),
        run=replace(maskgit_config.run, out=str(tmp_path / "run")),
    )
    with pytest.raises(ValueError, match=r"latents: latents of a continuous tokenizer; `textok tr"):
        train_maskgit(config)
    assert list(tmp_path.iterdir()) == []


def test_another_sampler_is_refused(maskgit_config: TrainMaskGITConfig) -> None:
    with pytest.raises(ValueError, match=r"sampling\.sampler 'euler' does not fit .*: use maskgit"):
        replace(maskgit_config, sampling=SamplingConfig())


def test_training_starts_from_the_weights_of_a_pipeline(
    maskgit_runs, maskgit_config: TrainMaskGITConfig
) -> None:
    source = maskgit_runs.root / "whole" / "model"
    config = replace(maskgit_config, init=str(source))
    config = fitted(config, open_both(config).train.index)
    started = build_generator(config, lambda: MaskGIT(config.generator)).state_dict()
    for name, value in MaskGIT.from_pretrained(source).state_dict().items():
        assert torch.equal(started[name], value), name

    other = replace(config, init="products")
    with pytest.raises(ValueError, match=r"^init products: its network has 4 heads, "):
        build_generator(other, lambda: MaskGIT(other.generator))


def test_how_pictures_are_drawn_may_change_when_a_run_goes_on(maskgit_runs) -> None:
    folder = RunFolder(maskgit_runs.root / "whole")
    stored = load_config(TrainMaskGITConfig, [folder.config])
    guidance = GuidanceConfig(scale=9, form="added", schedule="linear")
    drawn = SamplingConfig(
        sampler="maskgit", steps=3, temperature=9, softmax_annealing=True, guidance=guidance
    )
    folder.check(replace(stored, sampling=drawn))
    other = replace(stored.loss, label_smoothing=0.0)
    with pytest.raises(ValueError, match=r"started with loss\.label_smoothing = 0\.1, not 0\.0"):
        folder.check(replace(stored, loss=other))
