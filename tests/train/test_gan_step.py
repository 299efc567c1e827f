"""The GAN part of a training step: what is trained when, on what, and with which optimiser."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.train.tasks import flat, one_process
from tests.train.tasks import images as batch
from tests.train.test_tokenizer_task import make
from textok.config import GanConfig, OptimConfig, TrainTokenizerConfig
from textok.losses.discriminator import PatchGANDiscriminator
from textok.train.discriminator import TrainedDiscriminator
from textok.train.objective import ImagePair, Outcome

SHAPE = (3, 16, 16)


def gan(config: TrainTokenizerConfig, **changes) -> TrainTokenizerConfig:
    loss = replace(config.loss, gan=replace(config.loss.gan, **changes))
    return replace(config, loss=loss)


def adversary(discriminator: nn.Module, **settings) -> TrainedDiscriminator:
    return TrainedDiscriminator(
        discriminator,
        GanConfig(**{"lecam": 0.0, "start": 2, **settings}),
        OptimConfig(warmup=0),
        steps=100,
        distributed=one_process(),
    )


def train(
    config: TrainTokenizerConfig, one: TrainedDiscriminator, parts: int, size: int, step: int
) -> dict[str, Tensor]:
    """The gradients of ``one`` on ``size`` random images in ``parts``; returns what is logged."""
    draws = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(size, *SHAPE, generator=draws) for _ in range(2))
    outcomes = [
        Outcome(terms={}, images=ImagePair(real=a, fake=b, last_layer=real))
        for a, b in zip(real.chunk(parts), fake.chunk(parts), strict=True)
    ]
    training = replace(make(config).step, precision="bf16", adversary=one)
    logs: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
    training._backward_discriminator(one, outcomes, logs, step)
    training._update(one, [], logs, step)
    return logs


def linear() -> nn.Sequential:
    """D(x) = w x with |w|^2 = 768 / 64 = 12, and no bias."""
    layer = nn.Linear(768, 1, bias=False)
    nn.init.constant_(layer.weight, 1 / 8)
    return nn.Sequential(nn.Flatten(), layer)


def test_r1_is_half_its_weight_times_the_squared_gradient_every_so_often(config) -> None:
    one, plain = (adversary(linear(), r1=r1, r1_every=4) for r1 in (10.0, 0.0))
    for each in (one, plain):
        each.optimizer.step = lambda step: 0.0  # type: ignore[method-assign]
    for step, computed in ((2, True), (3, False), (5, False), (6, True)):
        logs = train(config, one, parts=2, size=4, step=step)
        without = train(config, plain, parts=2, size=4, step=step)
        assert logs["r1"].item() == pytest.approx(12)  # known between, too
        extra = (logs["loss_discriminator"] - without["loss_discriminator"]).item()
        assert extra == pytest.approx(10 / 2 * 4 * 12 if computed else 0)
        assert "r1" not in without


def test_r1_of_micro_batches_adds_up_to_that_of_the_batch(config) -> None:
    torch.manual_seed(0)
    slopes = []
    discriminator = PatchGANDiscriminator(channel_max=32)
    for parts in (1, 4):
        one = adversary(discriminator, r1=10.0)
        one.optimizer.clip = one.optimizer.step = lambda *_: torch.tensor(0.0)  # type: ignore
        one.optimizer.zero_grad = lambda: None  # type: ignore[method-assign]
        discriminator.zero_grad()
        train(config, one, parts=parts, size=8, step=2)
        slopes.append([p.grad.clone() for p in discriminator.parameters()])
    for whole, several in zip(*slopes, strict=True):
        torch.testing.assert_close(several, whole, rtol=2e-2, atol=2e-2 * whole.abs().max().item())


def test_before_its_start_the_network_is_trained_as_if_there_were_no_gan(config) -> None:
    task = make(gan(config, discriminator_start=1, start=3))
    alone = make(gan(config, weight=0))
    assert task.adversary is not None
    for step in range(3):
        before = flat(task.adversary.module.state_dict())
        logs, others = (each.step([batch(8)], step) for each in (task, alone))
        assert "gan" not in logs and logs["loss"] == others["loss"]
        assert ("loss_discriminator" in logs) == (step >= 1)
        trained = not torch.equal(flat(task.adversary.module.state_dict()), before)
        assert trained == (step >= 1)
        weights = [flat(each.network.state_dict()) for each in (task, alone)]
        assert torch.equal(*weights)
    assert "gan" in task.step([batch(8)], 3)
    alone.step([batch(8)], 3)
    assert not torch.equal(*(flat(each.network.state_dict()) for each in (task, alone)))


def test_the_adaptive_weight_is_logged_and_multiplies_the_gan_loss(config) -> None:
    task = make(gan(config, adaptive=True, weight=0.5))
    logs = {name: value.item() for name, value in task.step([batch(8)], 2).items()}
    assert logs["gan_weight"] > 0
    total = logs["l2"] + 1e-4 * logs["kl"] + logs["gan_weight"] * logs["gan"]
    assert logs["loss"] == pytest.approx(total)

    # By hand: the gradients at the decoder's head, each of a fresh task with the same weights.
    norms = []
    for weight in (0.0, 1e6):
        task = make(gan(config, weight=max(weight, 1e-30)))
        task.step.optimizer.step = lambda step: 0.0  # type: ignore[method-assign]
        task.step.optimizer.zero_grad = lambda: None  # type: ignore[method-assign]
        task.step.optimizer.clip = lambda: torch.tensor(0.0)  # type: ignore[method-assign]
        task.step([batch(8)], 2)
        slope = task.network.decoder.head.weight.grad
        norms.append(slope.norm().item() / max(weight, 1))
    assert logs["gan_weight"] == pytest.approx(0.5 * norms[0] / (norms[1] + 1e-4), rel=1e-3)


def test_the_discriminator_has_its_own_adam_where_it_is_told_to(config) -> None:
    def groups(settings: TrainTokenizerConfig) -> list[tuple[object, float]]:
        task = make(settings)
        assert task.adversary is not None
        state = task.adversary.optimizer.state_dict()["optimizers"][0]
        return [(group["betas"], group["weight_decay"]) for group in state["param_groups"]]

    assert groups(config) == [((0.9, 0.99), 0.01), ((0.9, 0.99), 0)]
    own = gan(config, betas=(0.0, 0.5), weight_decay=0.2)
    assert groups(own) == [((0.0, 0.5), 0.2), ((0.0, 0.5), 0)]


def test_parts_of_a_checkpoint_are_those_of_before_but_for_the_penalty(config) -> None:
    old = {
        *("tokenizer", "ema", "optimizer", "guard"),
        *("discriminator", "discriminator_optimizer", "lecam"),
    }
    assert set(make(config).state_dict()) == old
    assert set(make(gan(config, r1=1.0)).state_dict()) == {*old, "r1"}


def test_a_step_that_is_not_finite_leaves_the_penalty_known(config) -> None:
    task = make(gan(config, r1=1.0))
    task.step([batch(8)], 2)
    known = task.state_dict()["r1"]["value"].item()
    assert known > 0
    assert task.step([batch(8, float("nan"))], 3)["skipped"].item() == 1
    assert task.state_dict()["r1"]["value"].item() == known


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discriminator_start": 7}, "discriminator_start is 7: .* at most loss.gan.start, 5"),
        ({"discriminator_start": -1}, "discriminator_start is -1: it must be >= 0"),
        ({"betas": (0.0, 1.0)}, r"loss\.gan\.betas .*: each must be in \[0, 1\)"),
        ({"weight_decay": -1.0}, r"loss\.gan\.weight_decay is -1.0"),
        ({"r1": -1.0}, r"loss\.gan\.r1 is -1.0"),
        ({"r1_every": 0}, r"loss\.gan\.r1_every is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GanConfig(start=5, **settings)


def test_the_old_start_is_that_of_both() -> None:
    assert GanConfig(start=5).first_step == 5
    assert GanConfig(start=5, discriminator_start=0).first_step == 0
