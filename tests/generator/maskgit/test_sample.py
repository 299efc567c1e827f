"""Drawing codes: which are kept when, under what noise, guidance, seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.generator.maskgit.networks import KINDS, K, V, condition, labels, make, text
from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.generator import MaskGIT
from textok.generator.maskgit.sample import hidden_counts, uniform_noise, unmask
from textok.types import Condition

PLAIN = SamplingConfig(
    sampler="maskgit", steps=4, temperature=1.0, guidance=GuidanceConfig(scale=1)
)


def plain(**changes: object) -> SamplingConfig:
    return dataclasses.replace(PLAIN, **changes)  # type: ignore[arg-type]


def no_noise(shape: Sequence[int]) -> Tensor:
    raise AssertionError("no noise is needed")


def path(logits: Tensor, sampling: SamplingConfig, seeds: Sequence[int] = (0,)) -> list[Tensor]:
    """Codes after each step where the network says the same at every step."""
    assert len(logits) == len(seeds)
    hidden = torch.full(logits.shape[:2], logits.shape[2])
    noise = uniform_noise(seeds, torch.device("cpu")) if sampling.temperature else no_noise
    return list(unmask(lambda codes, step: logits, hidden, sampling, noise))


@pytest.mark.parametrize(
    ("tokens", "steps", "left"),
    [
        # 8 arccos(i / 4) / (pi / 2) = 6.71, 5.33, 3.68.
        (8, 4, [6, 5, 3]),
        (32, 8, [29, 26, 24, 21, 18, 14, 10]),
        # At most one less than before, and never none before the last step.
        (3, 4, [2, 1, 1]),
        (4, 8, [3, 2, 1, 1, 1, 1, 1]),
        (1, 3, [1, 1]),
        (8, 1, []),
    ],
)
def test_hidden_tokens_become_fewer_by_the_arccos(tokens: int, steps: int, left: list[int]) -> None:
    assert hidden_counts(tokens, steps) == left


def test_the_surest_codes_are_kept_first() -> None:
    """Three tokens, two codes: the logits of the likelier code are 1, 5 and 3."""
    logits = torch.tensor([[[1.0, 0.0], [-9.0, 5.0], [3.0, 2.9]]])
    first, *between, last = path(logits, plain(temperature=0, steps=4))
    assert first.tolist() == [[2, 1, 2]]
    assert [codes.tolist() for codes in between] == [[[2, 1, 0]], [[2, 1, 0]]]
    assert last.tolist() == [[0, 1, 0]]


def test_equals_are_kept_from_the_last_on_and_no_more_than_it_is_their_turn() -> None:
    counts = [int((c == 2).sum()) for c in path(torch.zeros(1, 8, 2), plain(temperature=0))]
    assert counts == [6, 5, 3, 0]
    assert path(torch.zeros(1, 8, 2), plain(temperature=0))[0].tolist() == [[2] * 6 + [0] * 2]


def test_codes_once_kept_stay() -> None:
    """A network that changes its mind completely from step to step."""

    def logits(codes: Tensor, step: int) -> Tensor:
        return torch.randn(5, 8, 7, generator=torch.Generator().manual_seed(step)) * 3

    seen = torch.full((5, 8), 7)
    noise = uniform_noise(range(5), torch.device("cpu"))
    for codes, left in zip(unmask(logits, seen, plain(), noise), [6, 5, 3, 0], strict=True):
        assert torch.equal(codes[seen != 7], seen[seen != 7])
        assert (codes == 7).sum(dim=1).tolist() == [left] * 5
        seen = codes


def test_each_step_against_the_formula() -> None:
    """Two steps of the published sampler, written out for one picture."""
    steps, temperature = 2, 3.0
    each = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(1)) * 2
    chance = torch.Generator().manual_seed(9)
    # 0.5 + 0.8 (1 - 1/2) = 0.9; the noise has half the temperature.
    logits = each[0] / 0.9
    scores = logits - temperature / 2 * torch.rand(4, 5, generator=chance).log().neg().log()
    drawn = scores.argmax(dim=-1)
    sure = torch.stack([logits[place, code] for place, code in enumerate(drawn)])
    sure = sure - temperature / 2 * torch.rand(4, generator=chance).log().neg().log()
    hidden = sure.argsort()[: math.floor(4 * math.acos(1 / 2) / (math.pi / 2))]
    assert len(hidden) == 2
    expected = drawn.clone()
    expected[hidden] = 5
    final = torch.where(expected == 5, each[1].argmax(dim=-1), expected)

    sampling = plain(steps=steps, temperature=temperature, softmax_annealing=True)
    noise = uniform_noise([9], torch.device("cpu"))
    found = unmask(lambda codes, step: each[step][None], torch.full((1, 4), 5), sampling, noise)
    assert [codes.tolist() for codes in found] == [[expected.tolist()], [final.tolist()]]


def test_one_step_is_the_likeliest_code() -> None:
    logits = torch.randn(3, 8, 7)
    (codes,) = path(logits, plain(steps=1, temperature=50), seeds=[1, 2, 3])
    assert torch.equal(codes, logits.argmax(dim=-1))


def test_codes_are_drawn_by_the_softmax_and_kept_by_a_race_of_their_chances() -> None:
    """Two tokens draw from p at temperature 1; d beside c is kept with p(d) / (p(c) + p(d))."""
    p = (0.6, 0.3, 0.1)
    kept = [2 * p[c] * sum(p[d] * p[c] / (p[c] + p[d]) for d in range(3)) for c in range(3)]
    assert sum(kept) == pytest.approx(1)
    logits = torch.tensor(p).log().expand(8000, 2, 3)
    codes = path(logits, plain(steps=2, temperature=2), seeds=range(8000))[0]
    counts = codes.flatten().bincount(minlength=4)
    assert counts[3] == 8000
    assert (counts[:3] / 8000).tolist() == pytest.approx(kept, abs=0.015)
    assert (codes[:, 0] == 3).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 5, 16])
def test_a_picture_depends_on_its_seed_and_not_on_its_batch(kind: str, steps: int) -> None:
    network, done = make(**KINDS[kind]), list[int]()
    asked = condition(network)
    guidance = GuidanceConfig(scale=2, form="added", schedule="linear")
    sampling = plain(steps=steps, guidance=guidance)
    together = network.sample(asked, sampling=sampling, seeds=[7, 8, 9], on_step=done.append)
    assert together.shape == (3, K) and together.dtype == torch.int64
    assert together.min() >= 0 and together.max() < V
    assert done == list(range(1, steps + 1))
    torch.manual_seed(5)
    for row, seed in enumerate([7, 8, 9]):
        alone = network.sample(asked[row : row + 1], sampling=sampling, seeds=[seed])
        assert torch.equal(together[row : row + 1], alone)


def test_seeds_and_conditions_make_a_difference_and_temperature_0_none() -> None:
    network = make(condition="class")
    seeds = range(20)
    alike = labels(*[1] * 20)
    many = network.sample(alike, sampling=PLAIN, seeds=seeds)
    assert len(many.unique(dim=0)) > 10
    cold = network.sample(alike, sampling=plain(temperature=0), seeds=seeds)
    assert len(cold.unique(dim=0)) == 1
    with torch.no_grad():
        network.reader.table.weight.mul_(20)
    classes = network.sample(labels(0, 1, 3), sampling=plain(temperature=0), seeds=[0] * 3)
    assert len(classes.unique(dim=0)) == 3


def rows_asked(network: MaskGIT, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    rows, step = list[int](), network.step

    def watched(codes_BK: Tensor, prepared: object) -> Tensor:
        rows.append(len(codes_BK))
        return step(codes_BK, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(network, "step", watched)
    return rows


@pytest.mark.parametrize(
    ("guidance", "rows"),
    [
        (GuidanceConfig(scale=1), [3, 3, 3, 3]),
        (GuidanceConfig(scale=0, form="added"), [3, 3, 3, 3]),
        (GuidanceConfig(scale=2), [6, 6, 6, 6]),
        (GuidanceConfig(scale=2, form="added", schedule="linear"), [3, 6, 6, 6]),
        (GuidanceConfig(scale=2, schedule="power_cosine"), [3, 6, 6, 6]),
    ],
)
def test_only_guided_steps_ask_twice(
    guidance: GuidanceConfig, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make()
    found = rows_asked(network, monkeypatch)
    network.sample(text(), sampling=plain(guidance=guidance), seeds=[1, 2, 3])
    assert found == rows


def test_guidance_is_that_of_the_logits_and_leads_away_from_the_negative() -> None:
    network = make(condition="class")
    everything = torch.ones(1, K).bool()

    def logits(label: int) -> Tensor:
        return network(torch.zeros(1, K, dtype=torch.int64), everything, labels(label))

    def draw(scale: float, negative: Condition | None = None) -> Tensor:
        sampling = plain(steps=1, guidance=GuidanceConfig(scale=scale))
        return network.sample(labels(2), sampling=sampling, seeds=[0], negative=negative)

    nothing, asked, other = logits(-1), logits(2), logits(0)
    assert torch.equal(draw(1), asked.argmax(dim=-1))
    assert torch.equal(draw(0), nothing.argmax(dim=-1))
    guided = (nothing + 8 * (asked - nothing)).argmax(dim=-1)
    assert torch.equal(draw(8), guided) and not torch.equal(guided, asked.argmax(dim=-1))
    away = (other + 8 * (asked - other)).argmax(dim=-1)
    assert torch.equal(draw(8, labels(0)), away) and not torch.equal(away, guided)
    assert torch.equal(draw(8, labels(2)), draw(1))


@pytest.mark.parametrize(
    ("changes", "seeds", "negative", "message"),
    [
        ({"sampler": "euler"}, [0, 1], None, "'euler' does not fit .*masked tokens: use maskgit"),
        ({}, [0], None, "2 rows of condition, 2 of negative and 1 seeds"),
        ({}, [0, 1], labels(0), "2 rows of condition, 1 of negative and 2 seeds"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_line(
    changes: dict[str, object], seeds: list[int], negative: Condition | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(condition="class").sample(
            labels(0, 1), sampling=plain(**changes), seeds=seeds, negative=negative
        )
    assert "\n" not in str(error.value)
