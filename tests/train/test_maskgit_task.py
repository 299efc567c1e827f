"""One training step of a MaskGIT: losses, randomness, validation."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.train.tasks import make_generator_task, make_objective
from textok.config import MaskedLossConfig, TextConfig, TrainMaskGITConfig, ViTConfig
from textok.generator import TokenGenerator
from textok.train.maskgit import fitted
from textok.train.on_latents import open_both
from textok.train.randomness import StepRandomness
from textok.train.task import TrainingTask
from textok.types import Condition, LatentBatch, Latents

ROWS, SIZE = 8, 16


@pytest.fixture(scope="session")
def by_class(maskgit_config: TrainMaskGITConfig) -> TrainMaskGITConfig:
    """A small MaskGIT of classes whose rate is made for a hundred steps."""
    shape = replace(
        maskgit_config.generator, network=ViTConfig(width=64, depth=2, heads=2), dropout=0
    )
    config = replace(
        maskgit_config,
        generator=shape,
        text=TextConfig(drop=0),
        loss=MaskedLossConfig(label_smoothing=0),
        optim=replace(maskgit_config.optim, lr=4e-3),
        run=replace(maskgit_config.run, batch_size=64, steps=100),
    )
    return fitted(config, open_both(config).train.index)


def make(config: TrainMaskGITConfig) -> TrainingTask[TokenGenerator]:
    return make_generator_task(config)


def sample(config: TrainMaskGITConfig, step: int) -> StepRandomness:
    return make_objective(config).sample(step)


def examples(size: int = 64) -> LatentBatch:
    """Two images over and over, each of a class of its own; they have no code in common."""
    rows = torch.arange(size) % 2
    codes = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])[rows]
    return LatentBatch(
        latents=Latents(mean=torch.zeros(size, 4, 4), codes=codes),
        captions=[""] * size,
        keys=[str(row) for row in range(size)],
        labels=rows,
    )


def part(whole: LatentBatch, rows: slice) -> LatentBatch:
    assert whole.labels is not None
    return replace(whole, latents=whole.latents[rows], labels=whole.labels[rows])


def sure_of(codes_BK: Tensor, logit: float) -> Tensor:
    """Logits that favour ``codes`` by as much over all others."""
    return logit * F.one_hot(codes_BK, SIZE).float()


def test_codes_are_learnt_from_the_class_where_all_are_hidden(
    by_class: TrainMaskGITConfig,
) -> None:
    task = make(by_class)
    logs = [task.step([examples()], step) for step in range(100)]
    # A new network takes all of the sixteen codes to be about as likely.
    assert logs[0]["loss"].item() == pytest.approx(torch.tensor(16.0).log().item(), abs=0.1)
    assert sum(line["accuracy"].item() for line in logs[-10:]) / 10 > 0.99
    hidden = torch.ones(2, 4, dtype=torch.bool)
    two = examples(2)
    guessed = task.averaged(two.latents.codes.flip(0), hidden, two.condition).argmax(dim=-1)
    assert torch.equal(guessed, two.latents.codes)


def test_the_randomness_of_a_step_is_its_own(by_class: TrainMaskGITConfig) -> None:
    config = replace(by_class, text=replace(by_class.text, drop=0.1))
    first, again = sample(config, 5), sample(config, 5)
    assert torch.equal(first.drop, again.drop) and torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, sample(config, 6).mask)
    assert first.mask.shape == (64, 4) and first.mask.dtype == torch.bool
    part = first.rows(slice(16, 32))
    assert torch.equal(part.mask, first.mask[16:32])
    # The share is that of all, also in a part.
    assert part.hidden_share.unique().tolist() == [first.mask.float().mean().item()]
    drawn = [sample(config, step) for step in range(100)]
    drops = torch.cat([one.drop for one in drawn]).float().mean().item()
    assert drops == pytest.approx(0.1, abs=0.015)
    # E arccos(u) / (pi / 2) = 2 / pi, and each place is hidden as often.
    places = torch.cat([one.mask for one in drawn]).float().mean(dim=0)
    torch.testing.assert_close(places, torch.full((4,), 2 / torch.pi), atol=0.03, rtol=0)


def test_the_network_sees_the_mask_and_not_what_was_dropped(by_class: TrainMaskGITConfig) -> None:
    config = replace(by_class, text=replace(by_class.text, drop=0.5))
    seen: list[Any] = []

    def network(codes: Tensor, mask: Tensor, condition: Condition) -> Tensor:
        seen.extend([codes, mask, condition.labels])
        return sure_of(codes, 0)

    randomness, given = sample(config, 3), examples()
    make_objective(config).evaluate(network, given, randomness, 3)
    assert torch.equal(seen[0], given.latents.codes) and torch.equal(seen[1], randomness.mask)
    assert 0 < randomness.drop.sum() < 64
    assert torch.equal(seen[2], given.labels.masked_fill(randomness.drop, -1))


@pytest.mark.parametrize("parts", [2, 4])
def test_the_mean_over_parts_is_that_of_the_whole(by_class: TrainMaskGITConfig, parts: int) -> None:
    objective, whole = make_objective(by_class), examples()
    randomness = objective.sample(0)
    logits = torch.randn(64, 4, SIZE, generator=torch.Generator().manual_seed(0))

    def terms(rows: slice) -> dict[str, Tensor]:
        given = part(whole, rows)
        network = lambda *_: logits[rows]  # noqa: E731
        return objective.evaluate(network, given, randomness.rows(rows), 0).terms

    size = 64 // parts
    each = [terms(slice(start, start + size)) for start in range(0, 64, size)]
    # By hand: hidden codes count 1 and the others 0.1.
    weight = torch.where(randomness.mask, 1.0, 0.1)
    losses = F.cross_entropy(logits.transpose(1, 2), whole.latents.codes, reduction="none")
    right = (logits.argmax(-1) == whole.latents.codes)[randomness.mask].float()
    found = {name: torch.stack([one[name] for one in each]).mean().item() for name in each[0]}
    assert found["loss"] == pytest.approx(((losses * weight).sum() / weight.sum()).item())
    assert found["accuracy"] == pytest.approx(right.mean().item())
    assert len({randomness.mask[i * size : (i + 1) * size].sum().item() for i in range(parts)}) > 1


def test_held_out_losses_are_of_the_hidden_codes_alone(by_class: TrainMaskGITConfig) -> None:
    masks: list[Tensor] = []

    def network(codes: Tensor, mask: Tensor, condition: Condition) -> Tensor:
        masks.append(mask)
        # Sure of the codes that are seen; of hidden ones in the first place alone.
        first = torch.arange(4) == 0
        return sure_of(codes, 1) * (first | ~mask)[..., None]

    given, random = examples(6), torch.Generator().manual_seed(0)
    found = make_objective(by_class).validation_losses(
        network, given.latents, given.condition, random
    )
    assert list(found) == ["m0.1", "m0.3", "m0.5", "m0.7", "m0.9"]
    # round(0.1 x 4), at least one, and so on; what is hidden stays so.
    assert [mask.sum(dim=1).unique().tolist() for mask in masks] == [[1], [1], [2], [3], [4]]
    assert all((low <= high).all() for low, high in pairwise(masks))
    favoured = torch.tensor(torch.e + 15).log() - 1
    none = torch.tensor(16.0).log()
    for losses, mask in zip(found.values(), masks, strict=True):
        count = mask.sum(dim=1)
        expected = (mask[:, 0] * favoured + (count - mask[:, 0].int()) * none) / count
        torch.testing.assert_close(losses, expected)


def test_held_out_losses_are_means_over_the_rows(
    by_class: TrainMaskGITConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(by_class)
    whole.step([examples()], 0)
    measured = whole.measure()
    assert set(measured) == {"val", "val_m0.1", "val_m0.3", "val_m0.5", "val_m0.7", "val_m0.9"}
    levels = [value for name, value in measured.items() if name != "val"]
    assert measured["val"] == pytest.approx(sum(levels) / 5)
    # Eight rows in batches of three, three and two are hidden alike.
    monkeypatch.setattr("textok.train.generation_validator.BATCH", 3)
    parts = make(by_class)
    parts.load_state_dict(whole.state_dict())
    assert parts.measure() == pytest.approx(measured, rel=1e-5)


def test_the_frechet_distance_is_between_what_codes_decode_to(
    by_class: TrainMaskGITConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(replace(by_class, fd_images=8))
    before = task.measure()["fd"]
    rows = iter(range(8))
    stored = open_both(by_class).train

    def copy(self: Any, condition: Condition, **given: Any) -> Tensor:
        return stored.batch([next(rows) for _ in range(len(condition))]).latents.codes

    monkeypatch.setattr(type(task.averaged), "sample", copy)
    # Drawn are the very codes whose reconstructions they are compared with.
    assert task.measure()["fd"] < 1e-3 * before
