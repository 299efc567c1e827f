"""A DiT whose hidden states are aligned with stored features of the pictures."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.train.jobs import Runs
from tests.train.tasks import aligned_generator, flat, make_generator_task
from textok.config import DiTShape, TrainGeneratorConfig
from textok.config.alignment import GeneratorAlignmentConfig
from textok.evaluate.image_generator import trained_against
from textok.generator import DiT, TokenGenerator
from textok.losses.feature_alignment import cosine_loss
from textok.pipeline import TextToImage
from textok.pipeline.folder import load_pipeline
from textok.train.generator import fitted, train_generator
from textok.train.initial_generator import build_generator
from textok.train.on_latents import open_both
from textok.train.task import TrainingTask
from textok.types import LatentBatch


@pytest.fixture
def aligned(generator_config: TrainGeneratorConfig, feature_latents: Path) -> TrainGeneratorConfig:
    """A DiT of three blocks."""
    config = aligned_generator(generator_config, feature_latents)
    network = DiTShape(width=32, depth=3, heads=2)
    config = replace(config, generator=replace(config.generator, network=network))
    return fitted(config, open_both(config).train.index)


def batch_of(config: TrainGeneratorConfig) -> LatentBatch:
    latents = open_both(config).train
    return latents.with_features().batch(range(8))


def step(task: TrainingTask[TokenGenerator], batch: LatentBatch, number: int) -> dict[str, float]:
    return {name: value.item() for name, value in task.step([batch], number).items()}


def test_settings_are_filled_in_from_the_latents(aligned: TrainGeneratorConfig) -> None:
    assert aligned.generator.alignment.network == "efficientnet_lite0"
    assert aligned.generator.alignment.block_of(3) == 1
    assert batch_of(aligned).features.shape == (8, 48)


def test_the_loss_is_that_of_denoising_and_the_weighted_alignment(
    aligned: TrainGeneratorConfig,
) -> None:
    shape = aligned.generator
    off = replace(aligned, generator=replace(shape, alignment=replace(shape.alignment, weight=0)))
    batch = batch_of(aligned)
    found, plain = (step(make_generator_task(one), batch, 0) for one in (aligned, off))
    assert found["denoising"] == plain["loss"]
    assert found["loss"] == pytest.approx(found["denoising"] + 0.5 * found["alignment"])
    assert "alignment" not in plain


def test_it_is_one_less_the_cosine_of_the_mean_state_after_the_block(
    aligned: TrainGeneratorConfig,
) -> None:
    task, batch = make_generator_task(aligned), batch_of(aligned)
    caught: list[torch.Tensor] = []
    task.network.blocks[0].register_forward_hook(lambda _, __, out: caught.append(out))
    assert task.projection is not None
    with torch.no_grad():
        before = deepcopy(task.projection.module)
    found = step(task, batch, 0)
    states = before(caught[0].detach().mean(dim=1))
    assert caught[0].shape == (8, 4, 32)
    expected = 1 - functional.cosine_similarity(states, batch.features).mean()
    assert found["alignment"] == pytest.approx(expected.item(), rel=1e-5)
    assert cosine_loss(states, batch.features).item() == pytest.approx(expected.item())


def test_it_is_learnt(aligned: TrainGeneratorConfig) -> None:
    task, batch = make_generator_task(aligned), batch_of(aligned)
    found = [step(task, batch, 3)["alignment"] for _ in range(30)]
    assert found[-1] < 0.5 * found[0]


def test_it_is_restored_to_the_bit_and_not_published(
    aligned: TrainGeneratorConfig, tmp_path: Path
) -> None:
    first, second, batch = make_generator_task(aligned), make_generator_task(aligned), None
    batch = batch_of(aligned)
    step(first, batch, 0)
    second.load_state_dict(deepcopy(first.state_dict()))
    assert step(first, batch, 1) == step(second, batch, 1)
    left, right = (flat(task.state_dict()["projection"]) for task in (first, second))
    assert torch.equal(left, right)
    first.save(tmp_path / "model")
    generator = load_pipeline(tmp_path / "model").generator
    assert generator.state_dict().keys() == first.network.state_dict().keys()
    pipeline = TextToImage.from_pretrained(tmp_path / "model")
    assert "efficientnet_lite0" in trained_against(pipeline)
    later = replace(aligned, init=str(tmp_path / "model"))
    later = replace(later, generator=replace(later.generator, alignment=GeneratorAlignmentConfig()))
    generator = build_generator(later, lambda: DiT(later.generator))
    assert generator.trained_against == ("efficientnet_lite0",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -1.0}, r"generator\.alignment\.weight is -1\.0: it must be >= 0"),
        ({"block": 9}, r"generator\.alignment\.block is 9, there are 1 blocks"),
        ({"network": "dinov2"}, r"alignment\.network is 'dinov2' but .* has features by effic"),
    ],
)
def test_settings_that_cannot_be(
    generator_config: TrainGeneratorConfig,
    feature_latents: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    latents = open_both(aligned_generator(generator_config, feature_latents)).train

    def settled() -> TrainGeneratorConfig:
        return fitted(
            aligned_generator(generator_config, feature_latents, **changes), latents.index
        )

    with pytest.raises(ValueError, match=message):
        settled()


def test_latents_without_features_are_refused_before_anything_is_written(
    generator_config: TrainGeneratorConfig, latents: Path, tmp_path: Path
) -> None:
    config = aligned_generator(generator_config, latents)
    config = replace(config, run=replace(config.run, out=str(tmp_path / "run")))
    with pytest.raises(ValueError, match="has no features of images: extract latents with --fe"):
        train_generator(config)
    assert not (tmp_path / "run").exists()


def test_whole_runs(aligned_generator_runs: Runs) -> None:
    """An interrupted run ends bit-identical; how the batch is split changes nothing."""
    codes = {name: found[0] for name, found in aligned_generator_runs.codes.items()}
    assert {name for name, code in codes.items() if code} == {"after a log line"}
    whole = aligned_generator_runs.weights("whole")
    start = aligned_generator_runs.weights("whole", step=8)
    name = "state/task/projection/0.weight"
    assert (whole[name] - start[name]).abs().max() > 1e-4
    killed = aligned_generator_runs.weights("killed")
    assert killed.keys() == whole.keys()
    assert [key for key, value in whole.items() if not torch.equal(killed[key], value)] == []
    for split in ("two", "sharded"):
        parts = aligned_generator_runs.weights(split)
        assert parts.keys() == whole.keys()
        for key, value in whole.items():
            torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=2e-4, msg=key)
    logged = aligned_generator_runs.log("whole")
    assert logged[-1]["alignment"] < logged[0]["alignment"]
