"""The peer is diffusers' pipeline, both sides draw, and the report says what was timed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

import benchmarks.sampling as sampling
import benchmarks.sampling_sides as sides
import benchmarks.sampling_text as texts
import benchmarks.sampling_timing as timing
import textok.nn.linear as linear
from benchmarks.sampling import Settings
from benchmarks.sampling_report import Row, Timing, write_report
from benchmarks.sampling_sides import CompiledSteps, Place, PlainDiT, TexTok
from benchmarks.sampling_timing import Case, Clock, count_flops, time_walk
from benchmarks.text_costs import T5
from textok.config import TokenizerConfig, ViTConfig
from textok.config.data import TextConfig
from textok.config.generator import (
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
)
from textok.generator import sample
from textok.types import Condition

SHAPE = DiTShape(width=32, depth=2, heads=2)
PLACE = Place(device="cpu", dtype=torch.float32, compiled=False)
DDPM = ObjectiveConfig(name="ddpm")
GUIDED = SamplingConfig(sampler="ddim", steps=3, guidance=GuidanceConfig(scale=2.0))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diffusers")
    monkeypatch.setattr(sides, "VAE_CHANNELS", (32, 32, 32, 32))
    monkeypatch.setattr(sampling, "CLASSES", 10)
    monkeypatch.setattr(timing, "SECONDS_DECODING", 0.001)
    monkeypatch.setattr(timing, "SECONDS_WALKING", 0.0)
    monkeypatch.setattr(texts, "SECONDS_DECODING", 0.001)
    monkeypatch.setattr(texts, "ENCODERS", {"t5": T5(name="T5", width=8, hidden=16, heads=2)})


def textok(objective: ObjectiveConfig = DDPM) -> TexTok:
    vit = ViTConfig(width=16, depth=1, heads=2)
    tokenizer = TokenizerConfig(
        image_size=32,
        patch_size=16,
        num_tokens=4,
        channels=3,
        text_width=8,
        text_tokens=5,
        encoder=vit,
        decoder=vit,
    )
    generator = GeneratorConfig(
        num_tokens=4,
        channels=3,
        condition="class",
        classes=10,
        network=SHAPE,
        objective=objective,
    )
    return TexTok(tokenizer, generator, PLACE)


def test_the_peer_draws_what_diffusers_own_pipeline_draws() -> None:
    import diffusers

    torch.manual_seed(0)
    # The pipeline's null class has number 1,000.
    peer = PlainDiT(SHAPE, classes=1000, image_size=32, place=PLACE)
    pipeline: Any = diffusers.DiTPipeline(peer.transformer, peer.vae, peer.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        [0, 1],
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(0),
        num_inference_steps=3,
        output_type="pt",
    ).images
    steps: list[int] = []
    ours = peer.decode(peer.walk(2, GUIDED, steps.append))
    assert steps == [1, 2, 3] and ours.shape == (2, 3, 32, 32)
    torch.testing.assert_close((ours / 2 + 0.5).clamp(0, 1), theirs)


def test_compiled_steps_draw_what_the_generator_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = textok().generator
    condition = Condition(labels=torch.tensor([3, 4]))
    expected = sample(generator, condition, sampling=GUIDED, seeds=[0, 1])
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    network = CompiledSteps(generator, Place(device="cpu", dtype=torch.float32, compiled=True))
    drawn = sample(network, condition, sampling=GUIDED, seeds=[0, 1])
    torch.testing.assert_close(drawn, expected)


@pytest.mark.parametrize("enough", [0, 2**21])
def test_flops_are_those_of_the_layers(enough: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "ENOUGH", enough)  # whichever library has the products
    side = textok()
    step, decoding = count_flops(Case(name="TexTok", side=side, sampling=GUIDED, tokens=4))
    width, rows = 32, 2
    blocks = 2 * (12 * 4 * width**2 + 2 * 4 * 4 * width + 6 * width**2)
    outside = 4 * width * (3 + 6) + 2 * width**2
    time = 256 * width + width**2  # of one time, for both rows
    assert step == 2 * (rows * (blocks + outside) + time)
    # 4 patches, 4 tokens and 5 text tokens meet in the one block.
    assert decoding > 2 * 13 * 12 * 16**2


def test_steps_that_are_not_walked_cost_the_median_of_those_that_are() -> None:
    walked: list[int] = []

    class Counted:
        def walk(self, pictures: int, sampling: SamplingConfig, on_step: Any = None) -> Any:
            for done in range(1, sampling.steps + 1):
                walked.append(done)
                on_step(done)

    side: Any = Counted()
    case = Case(name="", side=side, sampling=SamplingConfig(steps=100), tokens=0)
    walk, steps = time_walk(case, 1, 5, Clock(device="cpu", cpu=True))
    assert walked == [1, 2, 3, 4, 5] and len(steps) == 5
    assert walk == pytest.approx(steps[0] + 99 * median(steps[1:]))


def test_one_step_is_walked_whole_and_often_enough() -> None:
    walked: list[int] = []

    class Counted:
        def walk(self, pictures: int, sampling: SamplingConfig, on_step: Any = None) -> Any:
            walked.append(pictures)

    class Ticks(Clock):
        """Each walk takes one second more than the last."""

        def time(self, call: Any) -> float:
            call()
            return float(len(walked))

    side: Any = Counted()
    one = SamplingConfig(sampler="meanflow", steps=1)
    case = Case(name="", side=side, sampling=one, tokens=4)
    assert time_walk(case, 2, 5, Ticks(device="cpu", cpu=True)) == (3.0, [])
    assert walked == [2] * 5


def test_one_layer_stands_for_the_whole_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(device="cpu", cpu=True)
    text = TextConfig(encoder="t5", max_tokens=5)
    monkeypatch.setattr(Clock, "time", lambda self, call: (call(), 0.25)[1])
    assert texts.time_text_encoder(text, 2, PLACE, clock) == 24 * 0.25
    assert texts.time_text_encoder(TextConfig(encoder="minilm"), 2, PLACE, clock) is None


def test_a_step_of_meanflow_is_half_of_a_guided_one() -> None:
    flops = {}
    for name, sampler in (("flow", "euler"), ("meanflow", "meanflow")):
        side = textok(ObjectiveConfig(name=name))
        way = replace(GUIDED, sampler=sampler)
        flops[name], _ = count_flops(Case(name="", side=side, sampling=way, tokens=4))
    # The layer of the outputs is twice as wide, and the further conditions are embedded.
    assert 0.5 * flops["flow"] < flops["meanflow"] < 0.8 * flops["flow"]


def test_the_whole_benchmark_at_toy_size(tmp_path: Path) -> None:
    vit = "{width: 16, depth: 1, heads: 2}"
    tokenizer, generator = tmp_path / "tokenizer.yaml", tmp_path / "generator.yaml"
    tokenizer.write_text(
        "tokenizer: {image_size: 32, patch_size: 16, channels: 3, text_width: 8, text_tokens: 5, "
        f"encoder: {vit}, decoder: {vit}}}\ntext: {{encoder: t5, max_tokens: 5}}\n"
    )
    generator.write_text(
        f"generator: {{network: {vit}, condition: class, objective: {{name: ddpm}}}}\n"
        "sampling: {sampler: ddpm}\n"
    )
    out = tmp_path / "out"
    arguments = ["--tokens", "4", "8", "--batch", "1", "2", "--precision", "fp32"]
    arguments += ["--steps", "7", "--steps-timed", "5", "--sampler-steps", "3", "--device", "cpu"]
    arguments += ["--decoders", "S/32"]
    arguments += ["--tokenizer", str(tokenizer), "--generator", str(generator)]
    sampling.main([*arguments, "--out", str(out)])
    rows = json.loads((out / "sampling.json").read_text())["rows"]
    ours = ("TexTok (a)", "TexTok (b)", "TexTok (c)", "TexTok (c), decoder S/32")
    sides = [("DiT-XL/2 and SD-VAE", 0), *((name, tokens) for tokens in (4, 8) for name in ours)]
    assert [(row["name"], row["tokens"], row["pictures"]) for row in rows] == [
        (*side, pictures) for side in sides for pictures in (1, 2)
    ]
    assert [(row["sampler"], row["steps"], len(row["steps_timed"])) for row in rows[::4]] == [
        ("ddim", 7, 5),
        ("dpmpp", 3, 3),
        ("meanflow", 1, 0),
        ("dpmpp", 3, 3),
        ("meanflow", 1, 0),
    ]
    one, other = rows[6], rows[8]
    assert one["step_flops"] == other["step_flops"]
    assert one["decoding_flops"] < other["decoding_flops"]  # S is larger than the toy
    assert rows[0]["text"] is None and one["ratio_with_text"] < one["ratio"]
    text = (out / "sampling.md").read_text()
    assert "At least 3 steps were walked" in text and "The second half of the steps" in text
    assert (out / "sampling.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_divides_by_pictures_and_compares_with_the_peer(tmp_path: Path) -> None:
    peer = Row(
        name="DiT-XL/2 and SD-VAE",
        tokens=0,
        precision="fp32",
        sampler="ddim",
        steps=250,
        step_flops=2e12,
        decoding_flops=1e12,
        timing=Timing(pictures=2, walk=900.0, steps_timed=[4.0, 3.0, 3.0, 6.0], decoding=100.0),
        peer=None,
    )
    ours = Row(
        name="TexTok (b)",
        tokens=32,
        precision="fp32",
        sampler="dpmpp",
        steps=16,
        step_flops=5e10,
        decoding_flops=2e11,
        timing=Timing(pictures=2, walk=8.0, steps_timed=[], decoding=2.0),
        text=30.0,
        peer=peer,
    )
    assert peer.timing.drift == 2.0 and ours.timing.drift is None
    write_report([peer, ours], ["--tokens", "32"], tmp_path)
    text = (tmp_path / "sampling.md").read_text()
    cells = "16 dpmpp | 50 | 200 | 0.25 | 1 | 20% | 5 | 100 | 501 | 15 | 25"
    assert f"| fp32 | 2 | TexTok (b), K = 32 | {cells} |" in text
    assert "`python -m benchmarks.sampling --tokens 32`" in text
    assert "At least 4 steps were walked" in text and "2.00 to 2.00 times" in text


def test_settings_that_measure_nothing_are_refused() -> None:
    for given, message in (
        ({"guidance": 1.0}, "guidance is 1"),
        ({"steps_timed": 1}, "at least 2"),
        ({"clock": "cpu"}, "--threads 1 --device cpu"),
        ({"tokens": ()}, "tokens is empty"),
        ({"decoders": ("S16",)}, "'S16' is not a size"),
        ({"decoders": ("M/16",)}, "'M/16' is not a size"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings(**given)
