"""Trainings that go on from what another published beside its model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train.tasks import images, make_generator_task, make_tokenizer_task
from textok.config import TrainGeneratorConfig, TrainTokenizerConfig, TrainVQGANConfig
from textok.runtime.checkpoint import load_checkpoint
from textok.tokenizer import Tokenizer
from textok.train import train_generator, train_tokenizer
from textok.train.published_state import read_published_state

STEPS = 4


def tensors(node: Any, path: str = "") -> dict[str, Tensor]:
    """All tensors of a nested state, by their paths."""
    if isinstance(node, Tensor):
        return {path: node}
    if not isinstance(node, dict | list | tuple):
        return {}
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    return {k: v for key, one in pairs for k, v in tensors(one, f"{path}/{key}").items()}


def differing(left: Any, right: Any) -> list[str]:
    one, two = tensors(left), tensors(right)
    assert one.keys() == two.keys()
    return [key for key in one if not torch.equal(one[key], two[key])]


@pytest.fixture(scope="module")
def base(config: TrainTokenizerConfig) -> TrainTokenizerConfig:
    """Without text, and with a penalty that is remembered."""
    gan = replace(config.loss.gan, start=1, r1=0.1)
    run = replace(config.run, steps=STEPS, save_every=STEPS, publish_training_state=True)
    return replace(
        config,
        tokenizer=replace(config.tokenizer, text="none", nested=False),
        loss=replace(config.loss, gan=gan),
        run=run,
    )


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, base: TrainTokenizerConfig
) -> tuple[TrainTokenizerConfig, Path]:
    """A training that published its state, and its model."""
    out = tmp_path_factory.mktemp("first") / "run"
    done = replace(base, run=replace(base.run, out=str(out)))
    train_tokenizer(done)
    return done, out / "model"


def followed(first: tuple[TrainTokenizerConfig, Path], **changes: Any) -> TrainTokenizerConfig:
    config, model = first
    return replace(config, init=str(model), init_training_state=True, **changes)


def test_the_first_step_after_is_the_next_one_of_the_training_before(
    first: tuple[TrainTokenizerConfig, Path],
) -> None:
    config, model = first
    checkpoint = load_checkpoint(model.parent / "checkpoints" / f"step-{STEPS:08d}")["task"]
    before = make_tokenizer_task(config)
    before.load_state_dict(checkpoint)
    after = make_tokenizer_task(followed(first))
    assert "/ema/module" not in str(tensors(read_published_state(str(model))).keys())
    said = str(after.start_from(read_published_state(str(model))))
    assert said == (
        "goes on with weights, optimiser, discriminator, discriminator's optimiser, lecam, r1"
    )
    # Weights, averages, both optimisers' moments and what the regularisers remember.
    assert differing(after.state_dict(), before.state_dict()) == []
    assert after.state_dict()["ema"]["updates"] == checkpoint["ema"]["updates"] == STEPS
    assert checkpoint["lecam"]["ema_real"] != 0 and checkpoint["r1"]["value"] != 0
    # The schedules begin anew, so that the same step number has the same rates and draws.
    for step in range(2):
        for task in (before, after):
            task.step([images(8)], step)
    assert differing(after.state_dict(), before.state_dict()) == []


def test_without_it_only_the_averaged_weights_are_those_of_before(
    first: tuple[TrainTokenizerConfig, Path],
) -> None:
    plain = make_tokenizer_task(replace(followed(first), init_training_state=False))
    state = read_published_state(str(first[1]))
    model = Tokenizer.from_pretrained(first[1]).state_dict()
    assert differing(plain.network.state_dict(), model) == []
    assert differing(plain.network.state_dict(), state["tokenizer"]) != []
    assert tensors(plain.state_dict()["optimizer"]) == {}


def test_the_rates_are_those_of_the_new_training(first: tuple[TrainTokenizerConfig, Path]) -> None:
    settings = followed(first)
    slower = replace(settings, optim=replace(settings.optim, lr=1e-5, warmup=1, betas=(0.5, 0.6)))
    task = make_tokenizer_task(slower)
    task.start_from(read_published_state(str(first[1])))
    logs = task.step([images(8)], 0)
    assert logs["lr"].item() == pytest.approx(1e-5)
    groups = task.state_dict()["optimizer"]["optimizers"][0]["param_groups"]
    assert [tuple(group["betas"]) for group in groups] == [(0.5, 0.6)] * 2


def test_what_does_not_fit_is_new_and_named(first: tuple[TrainTokenizerConfig, Path]) -> None:
    settings = followed(first)
    state = read_published_state(str(first[1]))
    shape = replace(settings.tokenizer, image_size=32)
    gan = replace(settings.loss.gan, base=8)
    other = replace(settings, tokenizer=shape, loss=replace(settings.loss, gan=gan))
    assert str(make_tokenizer_task(other).start_from(state)) == (
        "nothing in it fits; new: weights, discriminator"
    )
    muon = replace(settings, optim=replace(settings.optim, name="muon"))
    assert str(make_tokenizer_task(muon).start_from(state)) == (
        "goes on with weights, discriminator, discriminator's optimiser, lecam, r1; new: optimiser"
    )
    frozen = make_tokenizer_task(replace(settings, freeze_encoder=True))
    frozen.start_from(state)
    moments = frozen.state_dict()["optimizer"]["optimizers"][0]["state"]
    trained = [p for p in frozen.network.parameters() if p.requires_grad]
    assert len(moments) == len(trained) < len(list(frozen.network.parameters()))


def test_a_whole_training_goes_on_and_is_not_begun_anew_when_resumed(
    first: tuple[TrainTokenizerConfig, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = replace(first[0].run, out=str(tmp_path / "run"), steps=1, publish_training_state=False)
    settings = followed(first, run=run)
    train_tokenizer(settings)
    line = f"init {first[1]}: goes on with weights, optimiser, discriminator"
    assert line in capsys.readouterr().out
    assert not (tmp_path / "run" / "model" / "training").exists()
    train_tokenizer(replace(settings, run=replace(run, steps=2)))
    assert line not in capsys.readouterr().out


def test_a_model_without_it_is_refused_in_one_line(
    first: tuple[TrainTokenizerConfig, Path], tmp_path: Path
) -> None:
    Tokenizer.from_pretrained(first[1]).save_pretrained(tmp_path / "plain")
    run = replace(first[0].run, out=str(tmp_path / "run"))
    settings = replace(followed(first, run=run), init=str(tmp_path / "plain"))
    with pytest.raises(ValueError, match=r"plain has no training/ folder: set it to false, or"):
        train_tokenizer(settings)
    assert not (tmp_path / "run").exists()
    for kind in (TrainTokenizerConfig, TrainVQGANConfig, TrainGeneratorConfig):
        with pytest.raises(ValueError, match=r"^init_training_state: name the trained model in"):
            kind(init_training_state=True)


def test_a_damaged_state_is_refused(
    first: tuple[TrainTokenizerConfig, Path], tmp_path: Path
) -> None:
    place = tmp_path / "training" / "step-00000001"
    place.mkdir(parents=True)
    for path in next((first[1] / "training").iterdir()).iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    record = json.loads((place / "state.json").read_text())
    record["state"]["map"][0][0] = "other"
    (place / "state.json").write_text(json.dumps(record))
    with pytest.raises(OSError, match=r"step-00000001 is damaged: checksum of state\.json"):
        read_published_state(str(tmp_path))
    state = read_published_state(str(first[1]))
    state["optimizer"]["optimizers"][0]["state"][0]["exp_avg"] = "text"
    task = make_tokenizer_task(followed(first))
    assert "new: optimiser" in str(task.start_from(state))
    state["tokenizer"]["decoder.positions"][0] = float("nan")
    with pytest.raises(ValueError, match=r"decoder\.positions has .* numbers that are NaN"):
        task.start_from(state)


def test_a_generator_goes_on_from_a_pipeline(
    generator_config: TrainGeneratorConfig, tmp_path: Path
) -> None:
    run = replace(
        generator_config.run, out=str(tmp_path / "run"), steps=2, publish_training_state=True
    )
    train_generator(replace(generator_config, run=run))
    model = tmp_path / "run" / "model"
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoints" / "step-00000002")["task"]
    settings = replace(make_fitted(generator_config, model), init=str(model))
    task = make_generator_task(replace(settings, init_training_state=True))
    said = str(task.start_from(read_published_state(str(model))))
    assert said == "goes on with weights, optimiser"
    assert differing(task.state_dict(), checkpoint) == []


def make_fitted(config: TrainGeneratorConfig, model: Path) -> TrainGeneratorConfig:
    """With the generator's settings of the pipeline ``model``."""
    from textok.pipeline.folder import load_pipeline

    return replace(config, generator=load_pipeline(str(model)).generator.config)
