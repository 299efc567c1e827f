from __future__ import annotations

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.train.tasks import flat, make_tokenizer_task
from tests.train.tasks import images as batch
from textok.config import OptimConfig, TrainTokenizerConfig
from textok.losses.adversarial import frozen_logits
from textok.nn.block import Block
from textok.text import TextFeaturesSource
from textok.tokenizer import Tokenizer
from textok.train.randomness import RandomSource, StepRandomness, sample_for_tokenizer
from textok.train.task import TrainingTask
from textok.train.tokenizer import build_tokenizer
from textok.train.tokenizer_objective import TokenizerObjective
from textok.types import Batch, TextFeatures


class Lengths(TextFeaturesSource):
    """One state a caption: its length."""

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        states = torch.tensor([[[float(len(caption))] * 8] for caption in captions])
        return TextFeatures(states=states, mask=torch.ones(len(captions), 1, dtype=torch.bool))


def make(config: TrainTokenizerConfig) -> TrainingTask[Tokenizer]:
    return make_tokenizer_task(config, text=Lengths())


def reseeded(task: TrainingTask[Tokenizer], config: TrainTokenizerConfig) -> TokenizerObjective:
    """The task's objective with the random numbers of ``config``."""
    objective = copy(task.step.objective)
    objective._source = RandomSource(seed=config.run.seed, batch_size=8, drop=config.text.drop)
    return objective


def sample(config: TrainTokenizerConfig, step: int) -> StepRandomness:
    run = config.run
    source = RandomSource(seed=run.seed, batch_size=run.batch_size, drop=config.text.drop)
    return sample_for_tokenizer(source, build_tokenizer(config), step)


def test_the_discriminator_waits_for_its_start_and_hears_no_generator_gradient(config) -> None:
    task = make(config)  # gan.start is 2
    adversary = task.discriminator
    assert adversary is not None
    start = flat(adversary.module.state_dict())
    for step in (0, 1):
        logs = task.step([batch(8)], step)
        assert "gan" not in logs and "loss_discriminator" not in logs
    assert torch.equal(flat(adversary.module.state_dict()), start)

    fake = torch.zeros(2, 3, 16, 16, requires_grad=True)
    frozen_logits(adversary.module, fake).sum().backward()
    assert fake.grad is not None and fake.grad.abs().sum() > 0
    assert all(p.grad is None for p in adversary.module.parameters())

    logs = task.step([batch(8)], 2)
    assert not torch.equal(flat(adversary.module.state_dict()), start)
    # LeCAM's averages start at 0 and move by a thousandth of the mean logits.
    assert adversary.lecam.ema_real.item() == pytest.approx(logs["logits_real"].item() / 1000)
    assert adversary.lecam.ema_fake.item() == pytest.approx(logs["logits_fake"].item() / 1000)


def test_the_loss_is_the_weighted_sum_of_its_terms(config) -> None:
    loss = replace(config.loss, l2=2.0, l1=0.5, kl=0.01)
    logs = {k: v.item() for k, v in make(replace(config, loss=loss)).step([batch(8)], 2).items()}
    terms = 2 * logs["l2"] + 0.5 * logs["l1"] + 0.01 * logs["kl"] + 0.1 * logs["gan"]
    assert logs["loss"] == pytest.approx(terms)
    assert logs["lr"] == pytest.approx(2e-3)


@pytest.mark.parametrize("fill", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_moves_nothing_and_is_counted(config, fill: float) -> None:
    task = make(config)
    task.step([batch(8)], 2)
    assert task.discriminator is not None
    before = task.state_dict()
    kept = {name: flat(before[name]) for name in ("tokenizer", "discriminator", "lecam")}
    average = flat(before["ema"]["module"])
    logs = task.step([batch(4), batch(4, fill)], 3)
    assert logs["skipped"].item() == 1
    after = task.state_dict()
    for name, value in kept.items():
        assert torch.equal(flat(after[name]), value), name
    assert torch.equal(flat(after["ema"]["module"]), average)
    assert after["guard"] == {"skipped": 1, "in_a_row": 1}
    task.step([batch(8)], 4)
    assert task.state_dict()["guard"] == {"skipped": 1, "in_a_row": 0}
    assert not torch.equal(flat(task.state_dict()["tokenizer"]), kept["tokenizer"])


def test_too_many_such_steps_in_a_row_end_the_run(config) -> None:
    task = make(replace(config, run=replace(config.run, max_bad_steps=2)))
    task.step([batch(8, float("nan"))], 0)
    with pytest.raises(ValueError, match=r"stopped at step 1: 2 steps in a row .* lower optim\.lr"):
        task.step([batch(8, float("nan"))], 1)


def test_a_restored_task_goes_on_the_same(config) -> None:
    first, second = make(config), make(replace(config, run=replace(config.run, seed=9)))
    first.step([batch(8)], 2)
    second.load_state_dict(first.state_dict())
    second.step = replace(second.step, objective=reseeded(second, config))
    assert second.discriminator is not None and first.discriminator is not None
    assert second.discriminator.lecam.ema_real == first.discriminator.lecam.ema_real != 0
    logs = [task.step([batch(8)], 3) for task in (first, second)]
    assert logs[0] == logs[1]


def test_randomness_depends_on_seed_step_and_row_alone(config) -> None:
    first, again = sample(config, 5), sample(config, 5)
    assert torch.equal(first.posterior, again.posterior) and torch.equal(first.keep, again.keep)
    assert first.posterior.shape == (8, 4, 4) and first.drop.shape == (8,)
    assert set(first.keep.tolist()) <= {1, 2, 3, 4}
    assert torch.equal(first.rows(slice(2, 4)).posterior, first.posterior[2:4])
    assert not torch.equal(first.posterior, sample(config, 6).posterior)
    other = replace(config, run=replace(config.run, seed=1))
    assert not torch.equal(first.posterior, sample(other, 5).posterior)


def test_captions_are_dropped_at_their_rate(config) -> None:
    source = RandomSource(seed=0, batch_size=8, drop=0.3)
    tokenizer = build_tokenizer(config)
    drops = torch.cat([sample_for_tokenizer(source, tokenizer, step).drop for step in range(500)])
    assert drops.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_bf16_and_checkpointing_and_plain_bottleneck_train(config) -> None:
    settings = replace(
        config,
        tokenizer=replace(config.tokenizer, bottleneck="ae", text="decoder", nested=False),
        run=replace(config.run, precision="bf16", grad_checkpointing=True),
    )
    task = make(settings)
    losses = [task.step([batch(8)], step)["loss"].item() for step in range(6)]
    assert losses[-1] < losses[0]
    assert {p.dtype for p in task.network.parameters()} == {torch.float32}


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon needs torch >= 2.9")
def test_a_cpu_without_bf16_trains_in_fp32_and_muon_too(
    config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(precision: str, instructions: str) -> list[float]:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
        optim = OptimConfig(name="muon", muon_lr=0.02)
        task = make(replace(config, run=replace(config.run, precision=precision), optim=optim))
        return [task.step([batch(8)], step)["loss"].item() for step in range(4)]

    assert losses("bf16", "AVX2") == losses("fp32", "AVX2")
    assert losses("bf16", "AVX512") != losses("fp32", "AVX2")


def test_a_compiled_tokenizer_trains_the_same_under_the_same_names(
    config, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = []

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(Block, "compile", lambda self: nn.Module.compile(self, backend=count))
    plain, compiled = (
        make(replace(config, run=replace(config.run, compile=on))) for on in (False, True)
    )
    for task in (plain, compiled):
        task.step([batch(8)], 0)
    # The only block of the encoder and that of the decoder make what is read, which differs.
    assert len(graphs) == config.tokenizer.encoder.depth + config.tokenizer.decoder.depth == 2
    expected, found = plain.network.state_dict(), compiled.network.state_dict()
    assert list(found) == list(expected)
    torch.testing.assert_close(flat(found), flat(expected))


def test_gradient_checkpointing_changes_no_number(config) -> None:
    tasks = [
        make(replace(config, run=replace(config.run, grad_checkpointing=on)))
        for on in (False, True)
    ]
    for task in tasks:
        task.step([batch(8)], 0)
    assert torch.equal(flat(tasks[0].network.state_dict()), flat(tasks[1].network.state_dict()))


def flow_config(config: TrainTokenizerConfig) -> TrainTokenizerConfig:
    return replace(
        config,
        tokenizer=replace(config.tokenizer, decoding="flow"),
        loss=replace(config.loss, gan=replace(config.loss.gan, weight=0.0)),
    )


def test_a_flow_decoder_learns_the_velocity_and_is_restored_to_the_bit(config) -> None:
    settings = flow_config(config)
    first, second = make(settings), make(replace(settings, run=replace(settings.run, seed=9)))
    logs = first.step([batch(8)], 2)
    expected = settings.loss.l2 * logs["velocity"] + settings.loss.kl * logs["kl"]
    assert logs["loss"].item() == pytest.approx(expected.item())
    second.load_state_dict(deepcopy(first.state_dict()))
    second.step = replace(second.step, objective=reseeded(second, settings))
    again = [task.step([batch(8)], 3) for task in (first, second)]
    assert again[0] == again[1]
    left, right = (flat(task.state_dict()["tokenizer"]) for task in (first, second))
    assert torch.equal(left, right)


def test_splitting_a_batch_changes_nothing_for_a_flow_decoder(config) -> None:
    whole, parts = make(flow_config(config)), make(flow_config(config))
    images = batch(8)
    halves = [
        Batch(images=images.images[rows], captions=images.captions[rows], keys=images.keys[rows])
        for rows in (slice(0, 4), slice(4, 8))
    ]
    one, two = whole.step([images], 2), parts.step(halves, 2)
    assert one["velocity"].item() == pytest.approx(two["velocity"].item(), rel=1e-4)
    torch.testing.assert_close(
        flat(whole.state_dict()["tokenizer"]),
        flat(parts.state_dict()["tokenizer"]),
        rtol=1e-3,
        atol=2e-5,
    )


def test_randomness_of_flow_decoding_depends_on_seed_step_and_row_alone(config) -> None:
    settings = flow_config(config)
    settings = replace(settings, tokenizer=replace(settings.tokenizer, nested=False))
    source = RandomSource(seed=0, batch_size=8)
    tokenizer = build_tokenizer(settings)
    samples = [sample_for_tokenizer(source, tokenizer, step) for step in range(300)]
    keep = torch.cat([one.keep for one in samples])
    assert set(keep.tolist()) == {0, settings.tokenizer.num_tokens}
    assert (keep > 0).float().mean().item() == pytest.approx(0.9, abs=0.03)
    again = sample_for_tokenizer(source, tokenizer, 5).rows(slice(2, 4))
    assert again.noise is not None and samples[5].noise is not None
    assert torch.equal(again.noise, samples[5].noise[2:4])


def test_a_flow_decoder_takes_no_discriminator(config) -> None:
    with pytest.raises(ValueError, match=r"loss\.gan\.weight is above 0 .* set it to 0"):
        replace(config, tokenizer=replace(config.tokenizer, decoding="flow"))
