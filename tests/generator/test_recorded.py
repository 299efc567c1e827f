"""A whole path from noise to tokens is one static graph: what a CUDA graph can be made of."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.generator.tiny import tiny_dit
from tests.static_graph import traced, watched
from textok.config.generator import (
    DiTShape,
    GuidanceConfig,
    ObjectiveConfig,
    Sampler,
    SamplingConfig,
)
from textok.generator import DiT
from textok.runtime.recorder import Call, Recorder
from textok.types import Condition, TextFeatures

Name = Literal["flow", "ddpm", "meanflow"]
SAMPLERS: list[tuple[Name, Sampler]] = [
    ("flow", "euler"),
    ("flow", "heun"),
    ("flow", "ddim"),
    ("flow", "dpmpp"),
    ("flow", "sde"),
    ("ddpm", "ddim"),
    ("ddpm", "dpmpp"),
    ("ddpm", "ddpm"),
    ("meanflow", "meanflow"),
]


def recorder() -> Recorder:
    return Recorder(device_type="cpu", record=traced)


def dit(name: Name = "flow", condition: Literal["text", "class"] = "text", seed: int = 0) -> DiT:
    """Of one block: what is recorded is traced operator by operator."""
    return tiny_dit(
        seed=seed,
        network=DiTShape(width=16, depth=1, heads=2),
        condition=condition,
        pooled_text=True,
        qk_norm=True,
        objective=ObjectiveConfig(name=name),
    )


def texts(rows: int, seed: int = 0) -> Condition:
    """Of the greatest length, as recordings pad them to it; the last row is empty."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([5, 2, 0])[-rows:, None]
    states = torch.randn(rows, 5, 6, generator=generator)
    return Condition(text=TextFeatures(states=states, mask=torch.arange(5) < lengths))


def draw(network: DiT, condition: Condition, by: Recorder | None, **given: Any) -> Tensor:
    network.recorder = by
    try:
        return network.sample(condition, **given)
    finally:
        network.recorder = None


@pytest.mark.parametrize(("name", "sampler"), [SAMPLERS[place] for place in (3, 4, 7, 8)])
def test_a_path_is_a_static_graph_of_noise_and_captions(name: Name, sampler: Sampler) -> None:
    """With other noise and captions its replay is what is drawn without it, bit for bit."""
    network, by = dit(name), recorder()
    scale = GuidanceConfig(scale=2) if name == "meanflow" else GuidanceConfig(scale=2, high=0.7)
    sampling = SamplingConfig(sampler=sampler, steps=3, guidance=scale)
    drawn = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for seeds, captions in (([1, 2], 0), ([3, 4], 1), ([1, 2], 0)):
            given: dict[str, Any] = {"sampling": sampling, "seeds": seeds}
            drawn.append(draw(network, texts(2, captions), by, **given))
            plain = draw(network, texts(2, captions), None, **given)
            torch.testing.assert_close(drawn[-1], plain, rtol=0, atol=0)
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
    assert torch.equal(drawn[0], drawn[2])
    assert len(by._recordings) == 1


def test_classes_a_negative_and_a_guide_are_recorded_too() -> None:
    network, guide, by = dit(condition="class"), dit(condition="class", seed=1), recorder()
    for labels, away in (([0, 4], [2, 2]), ([3, -1], [1, -1])):
        condition = Condition(labels=torch.tensor(labels))
        led = Condition(labels=torch.tensor(away))
        by_guide = SamplingConfig(steps=2, guidance=GuidanceConfig(scale=2, guide="weak"))
        ways: list[dict[str, Any]] = [
            {"sampling": SamplingConfig(steps=2), "negative": led},
            {"sampling": by_guide, "guide": guide},
        ]
        for given in ways:
            found = draw(network, condition, by, seeds=[1, 2], **given)
            plain = draw(network, condition, None, seeds=[1, 2], **given)
            torch.testing.assert_close(found, plain, rtol=0, atol=0)
    assert len(by._recordings) == 2


def test_short_captions_share_the_recording_of_long_ones() -> None:
    network, by = dit(), recorder()
    sampling, long = SamplingConfig(steps=2), texts(2)
    draw(network, long, by, sampling=sampling, seeds=[1, 2])
    assert long.text is not None
    short = Condition(text=TextFeatures(states=long.text.states[:, :2], mask=long.text.mask[:, :2]))
    found = draw(network, short, by, sampling=sampling, seeds=[1, 2])
    torch.testing.assert_close(found, draw(network, short, None, sampling=sampling, seeds=[1, 2]))
    assert len(by._recordings) == 1


def test_labels_are_checked_although_a_recording_cannot() -> None:
    network, by = dit(condition="class"), recorder()
    for labels, match in (([0, 5], "go from 0 to 5"), ([-2, 0], "go from -2 to 0")):
        condition = Condition(labels=torch.tensor(labels))
        with pytest.raises(ValueError, match=match):
            draw(network, condition, by, sampling=SamplingConfig(steps=2), seeds=[1, 2])
    assert not by._recordings


def test_all_steps_are_told_of() -> None:
    told: list[int] = []
    sampling = SamplingConfig(steps=3)
    draw(dit(), texts(1), recorder(), sampling=sampling, seeds=[1], on_step=told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize(("name", "sampler"), SAMPLERS)
def test_the_host_waits_for_nothing_between_the_steps(name: Name, sampler: Sampler) -> None:
    sampling = SamplingConfig(sampler=sampler, steps=4, guidance=GuidanceConfig(scale=2))
    by = Recorder(device_type="meta", record=watched)
    for condition in (texts(2), Condition(labels=torch.tensor([0, 1]))):
        network = dit(name, "text" if condition.labels is None else "class").to("meta")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            tokens = draw(network, condition, by, sampling=sampling, seeds=[1, 2])
        assert tokens.is_meta and tokens.shape == (2, 3, 4)
    assert len(by._recordings) == 2


HERE = torch.ones(2)
REFUSED: dict[str, Call] = {
    "_local_scalar_dense looks": lambda x: x * float(x.sum()),
    "index looks": lambda x: x[x > 0],
    "mul mixes": lambda x: x * HERE,
    "where mixes": lambda x: torch.where(x > 0, x, HERE[0]),
    "_to_copy goes": lambda x: x * HERE.to(x.device),
}


@pytest.mark.parametrize("match", REFUSED)
def test_the_watch_does_refuse(match: str) -> None:
    with pytest.raises(RuntimeError, match=match):
        watched(REFUSED[match], [torch.ones(2, device="meta")])
