"""A sampler's table does what the sampler does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.pipeline.conftest import CLASSES, shake, tiny
from textok.config.generator import GuidanceConfig, ObjectiveConfig, SamplingConfig
from textok.export.client import Client
from textok.export.manifest import manifest
from textok.export.model import ExportedModel
from textok.export.modules import ClassGenerator
from textok.export.schedule import evaluations
from textok.generator import DiT
from textok.types import Condition

FLOW, DDPM = ObjectiveConfig(time_shift=2.0), ObjectiveConfig(name="ddpm")
MEAN_FLOW = ObjectiveConfig(name="meanflow", time_shift=2.0)


def network(objective: ObjectiveConfig) -> DiT:
    generator = DiT(replace(tiny("class").generator.config, objective=objective)).eval()
    shake(generator, 0.15)
    return generator


@pytest.mark.parametrize(
    ("objective", "sampler", "steps"),
    [
        (FLOW, "euler", 3),
        (FLOW, "heun", 3),
        (FLOW, "heun", 1),
        (FLOW, "ddim", 4),
        (FLOW, "dpmpp", 5),
        (FLOW, "dpmpp", 1),
        (DDPM, "ddim", 4),
        (DDPM, "dpmpp", 12),
        (MEAN_FLOW, "meanflow", 1),
        (MEAN_FLOW, "meanflow", 3),
    ],
)
def test_the_client_samples_as_the_generator_does(
    objective: ObjectiveConfig,
    sampler: Any,
    steps: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = network(objective)
    schedule: Any = "constant" if sampler == "meanflow" else "linear"
    guidance = GuidanceConfig(scale=2.5, schedule=schedule, low=0.1, high=0.8)
    sampling = SamplingConfig(sampler=sampler, steps=steps, guidance=guidance)
    parts = replace(tiny("class"), generator=generator)
    model = ExportedModel(
        name="tiny", folder=tmp_path, tokenizer=parts.tokenizer, parts=parts, sampling=sampling
    )
    about = manifest(model, [], weights="fp32", texts={}, readers={})
    (tmp_path / "manifest.json").write_text(json.dumps(about))

    def run(self: Client, graph: str, **inputs: Any) -> dict[str, Any]:
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.no_grad():
            return {"output": ClassGenerator(generator)(**given).numpy()}

    monkeypatch.setattr(Client, "run", run)
    noise = [torch.randn(4, 2, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
    drawn = Client(tmp_path).sample(torch.stack(noise).numpy(), [CLASSES[2], ""])
    wanted = generator.sample(
        Condition(labels=torch.tensor([2, -1])), sampling=sampling, seeds=[5, 6]
    )
    np.testing.assert_allclose(drawn, wanted.numpy(), rtol=1e-4, atol=1e-4)


def test_two_steps_of_euler_by_hand() -> None:
    sampling = SamplingConfig(sampler="euler", steps=2, guidance=GuidanceConfig(scale=3.0))
    config = replace(tiny("class").generator.config, objective=ObjectiveConfig())
    first, second = evaluations(config, sampling)
    assert (first.time, second.time) == (1.0, 0.5)
    assert (first.guidance, first.from_tokens, first.from_output) == (3.0, 0.0, 1.0)
    for row in (first, second):
        assert (row.keep, row.now, row.before) == pytest.approx((1.0, -0.5, 0.0), abs=1e-12)


def test_the_last_step_of_dpmpp_is_its_prediction_of_the_data() -> None:
    """At t = 0 nothing is left of noise: x = x_0, which is x - t v for flow matching."""
    config = replace(tiny("class").generator.config, objective=ObjectiveConfig())
    rows = evaluations(config, SamplingConfig(sampler="dpmpp", steps=4))
    assert (rows[-1].from_tokens, rows[-1].from_output) == pytest.approx((1.0, -rows[-1].time))
    assert (rows[-1].keep, rows[-1].now, rows[-1].before) == pytest.approx((0, 1, 0), abs=1e-12)
