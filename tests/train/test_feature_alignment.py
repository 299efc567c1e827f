"""Tokenizers whose decoder states are aligned with the features of a frozen network."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.train.jobs import STEPS, Runs
from tests.train.tasks import flat, pixel_means
from tests.train.tasks import images as batch
from tests.train.test_tokenizer_task import make
from textok.config import TrainTokenizerConfig, ViTConfig
from textok.tokenizer import Tokenizer
from textok.train import feature_alignment
from textok.train.feature_alignment import on_grid, open_tokenizer_alignment
from textok.train.tokenizer_objective import flow_draw


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_alignment, "load_feature_network", pixel_means)


def aligned(config: TrainTokenizerConfig, **changes: Any) -> TrainTokenizerConfig:
    alignment = replace(config.loss.alignment, **{"weight": 0.5, **changes})
    loss = replace(config.loss, alignment=alignment, gan=replace(config.loss.gan, weight=0))
    return replace(config, loss=loss)


def test_the_loss_gains_the_weighted_sum_of_both_terms(config) -> None:
    plain, with_it = (make(aligned(config, weight=weight)) for weight in (0.0, 0.5))
    assert plain.projection is None
    before, logs = (task.step([batch(8)], 0) for task in (plain, with_it))
    assert logs["alignment"] == logs["alignment_cosine"] + logs["alignment_distance"]
    assert logs["alignment"] > 0
    assert logs["loss"].item() == pytest.approx((before["loss"] + 0.5 * logs["alignment"]).item())
    assert not any("alignment" in name for name in before)


def test_it_moves_the_encoder_through_the_tokens(config) -> None:
    """Nothing else is trained for, and still the layer that makes the latents has a gradient."""
    settings = aligned(config)
    task = make(settings)
    alignment = open_tokenizer_alignment(settings, task.distributed)
    assert alignment is not None
    images = batch(8).images
    out = task.network(images, None, hidden_after=alignment.block)
    assert out.hidden.shape == (8, 16, 32)
    alignment(out.hidden, images)["alignment"].backward()
    assert task.network.latent_layer.grad.abs().sum() > 0
    assert alignment.projection.module.weight.grad.abs().sum() > 0


def test_it_is_learnt(config) -> None:
    task = make(aligned(config, cosine_margin=0, distance_margin=0, weight=5))
    found = [task.step([batch(8)], 3)["alignment"].item() for _ in range(30)]
    assert found[-1] < 0.7 * found[0]


def test_the_states_are_those_after_the_block_that_is_asked_for(config) -> None:
    deep = replace(config.tokenizer, decoder=ViTConfig(width=32, depth=3, heads=2), text="none")
    for shape in (deep, replace(deep, layout="titok"), replace(deep, decoding="flow")):
        settings = aligned(replace(config, loss=aligned(config).loss, tokenizer=shape))
        task = make(settings)
        assert open_tokenizer_alignment(settings, task.distributed).block == 1
        randomness = task.step.objective.sample(0)
        caught: list[torch.Tensor] = []
        decoder = task.network.decoder
        blocks = decoder.blocks if shape.decoding == "flow" else decoder.trunk.blocks
        keep = caught.append
        blocks[1].register_forward_hook(lambda _, __, out, keep=keep: keep(out))
        flow = flow_draw(randomness)
        out = task.network(batch(8).images, None, hidden_after=2, flow=flow)
        first = 1 if shape.layout == "titok" else 0
        assert torch.equal(out.hidden, caught[0][:, first : first + 16])
        assert task.network(batch(8).images, None, flow=flow).hidden is None


def test_features_are_brought_to_the_grid_of_the_patches() -> None:
    """Row by row, as patches are; a map of the grid's size is left as it is."""
    places = torch.arange(4.0).view(1, 1, 2, 2)
    assert on_grid(places, 2).flatten().tolist() == [0, 1, 2, 3]
    assert on_grid(places, 1).item() == pytest.approx(1.5)
    wide = on_grid(places, 4).view(4, 4)
    assert wide[0, 0] == 0 and wide[0, 3] == 1 and wide[3, 0] == 2 and wide[3, 3] == 3


def test_the_adaptive_weight_is_a_ratio_of_gradients_at_the_latents(config) -> None:
    """As strong as the other losses there, times the weight."""
    plain, adaptive = make(aligned(config)), make(aligned(config, adaptive=True))
    plain.step([batch(8)], 0)
    logs = adaptive.step([batch(8)], 0)
    weight = logs["alignment_weight"].item()
    assert weight > 0 and weight != 0.5
    terms = logs["l2"] + 1e-4 * logs["kl"] + weight * logs["alignment"]
    assert logs["loss"].item() == pytest.approx(terms.item())


def test_it_is_restored_to_the_bit_and_not_published(config, tmp_path) -> None:
    settings = aligned(config)
    first = make(settings)
    first.step([batch(8)], 0)
    second = make(settings)
    second.load_state_dict(deepcopy(first.state_dict()))
    logs = [task.step([batch(8)], 1) for task in (first, second)]
    assert logs[0] == logs[1]
    for task in (first, second):
        assert {"projection", "projection_optimizer"} <= task.state_dict().keys()
    left, right = (flat(task.state_dict()["projection"]) for task in (first, second))
    assert torch.equal(left, right)
    first.save(tmp_path / "model")
    published = Tokenizer.from_pretrained(tmp_path / "model")
    assert (
        published.state_dict().keys() == make(aligned(config, weight=0)).network.state_dict().keys()
    )
    assert published.trained_with == ("efficientnet_lite0",)


def test_a_step_that_is_not_finite_moves_no_projection(config) -> None:
    task = make(aligned(config))
    assert task.projection is not None
    before = flat(task.projection.module.state_dict())
    task.step([batch(8, float("nan"))], 0)
    assert torch.equal(flat(task.projection.module.state_dict()), before)
    task.step([batch(8)], 1)
    assert not torch.equal(flat(task.projection.module.state_dict()), before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -1.0}, r"loss\.alignment\.weight is -1\.0: it must be >= 0"),
        ({"block": 2}, r"loss\.alignment\.block is 2, there are 1 blocks: set it to 1 to 1"),
        ({"cosine_margin": 3.0}, r"loss\.alignment\.cosine_margin is 3\.0: .* <= 2"),
        ({"network": "dino"}, r"loss\.alignment\.network: feature network 'dino' is unknown"),
        ({"network": "inception"}, r"network is 'inception', which reads a file .* of its own"),
        ({"network": "vgg16"}, r"network is 'vgg16', whose features are pooled over the image"),
    ],
)
def test_settings_that_cannot_be(config, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aligned(config, **changes)


def test_a_frozen_encoder_has_no_gradient_to_compare(config) -> None:
    with pytest.raises(ValueError, match=r"alignment\.adaptive compares gradients"):
        replace(aligned(config, adaptive=True), init="somewhere", freeze_encoder=True)


def test_whole_runs(aligned_runs: Runs) -> None:
    """An interrupted run ends bit-identical; splitting the batch changes nothing."""
    codes = {name: found[0] for name, found in aligned_runs.codes.items()}
    assert {name for name, code in codes.items() if code} == {"after a log line"}
    whole, start = aligned_runs.weights("whole"), aligned_runs.weights("whole", step=8)
    name = "state/task/projection/weight"
    assert (whole[name] - start[name]).abs().max() > 1e-4
    killed = aligned_runs.weights("killed")
    assert killed.keys() == whole.keys()
    assert [key for key, value in whole.items() if not torch.equal(killed[key], value)] == []
    assert aligned_runs.log("killed") == aligned_runs.log("whole")
    for split in ("halves", "two"):
        parts = aligned_runs.weights(split)
        for key, value in whole.items():
            torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=2e-5, msg=key)
    losses = [line["alignment"] for line in aligned_runs.log("whole")]
    assert len(losses) == STEPS and losses[-1] < losses[0]
