"""The steps that are measured are whole, and their FLOPs are the model's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import benchmarks.training as training
from benchmarks.speed_report import Row, Variant
from benchmarks.step_parts import PARTS, PartTimer, Timed, part_shares
from benchmarks.training import Settings, count_flops, in_fresh_process, peak_flops, read_config
from benchmarks.training_report import Measured, write_report
from benchmarks.training_steps import RandomLPIPS, training_step
from textok.config import GanConfig, TrainTokenizerConfig

VIT = "{width: 16, depth: 1, heads: 2}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(training, "CLASSES", 10)
    tokenizer, generator = tmp_path / "tokenizer.yaml", tmp_path / "generator.yaml"
    tokenizer.write_text(
        "tokenizer: {image_size: 16, patch_size: 8, num_tokens: 4, channels: 3, text_width: 8, "
        f"text_tokens: 5, encoder: {VIT}, decoder: {VIT}}}\ntext: {{max_tokens: 5}}\n"
        "loss: {perceptual: 0, gan: {weight: 0.1, start: 9, base: 8}}\n"
    )
    generator.write_text(
        f"generator: {{network: {VIT}, condition: class, objective: {{name: ddpm}}}}\n"
        "sampling: {sampler: ddpm}\n"
    )
    return Settings(
        tokenizer=(str(tokenizer),), generator=(str(generator),), tokens=4, batch=2, steps=2
    )


def test_a_tokenizer_step_has_its_discriminator(settings: Settings) -> None:
    config = read_config(settings, "tokenizer")
    logs = training_step(config)()
    assert isinstance(logs, dict)
    assert {"l2", "gan", "loss_discriminator", "lecam", "grad_norm"} <= set(logs)
    assert float(logs["skipped"]) == 0


def test_a_generator_step_learns(settings: Settings) -> None:
    step = training_step(read_config(settings, "generator"))
    losses = []
    for _ in range(5):
        logs = step()
        assert isinstance(logs, dict)
        losses.append(float(logs["loss"]))
    # The same latents, noise and times: what is learnt of them shows at once.
    assert losses[-1] < losses[0]


def test_flops_are_three_times_the_forward_pass(settings: Settings) -> None:
    width, tokens, channels = 16, 4, 3
    block = 12 * tokens * width**2 + 2 * tokens**2 * width + 6 * width**2
    inner = tokens * width * 6 + 2 * width**2 + 256 * width + width**2 + block
    first = tokens * width * channels
    # The backward pass asks for weights and inputs; nobody asks for the latents' gradient, nor
    # for that of the time's sinusoids.
    total = 2 * (3 * inner + 2 * first - 256 * width)
    assert count_flops(read_config(settings, "generator")) == total


def test_the_discriminator_counts(settings: Settings) -> None:
    config = read_config(settings, "tokenizer")
    assert isinstance(config, TrainTokenizerConfig)
    without = replace(config, loss=replace(config.loss, gan=GanConfig(weight=0)))
    assert count_flops(config) > count_flops(without) > 0


def test_the_parts_of_a_tokenizer_step_are_the_whole(settings: Settings) -> None:
    config = read_config(settings, "tokenizer")
    assert isinstance(config, TrainTokenizerConfig)
    loss = replace(config.loss, perceptual=1.0, perceptual_net="lpips_vgg")
    step = training_step(replace(config, loss=loss))
    shares = part_shares(step, 2)
    assert list(shares) == list(PARTS) and sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
    # The perceptual network is the only one with more than toy layers.
    assert shares["perceptual"] > shares["forward"]
    assert not isinstance(step.task.discriminator.module, Timed)
    assert isinstance(step.task.step.objective.loss.perceptual, RandomLPIPS)


def test_a_part_does_not_count_the_parts_inside_it() -> None:
    timer = PartTimer(torch.device("cpu"))
    times = iter([0.0, 1.0, 4.0, 4.5])
    timer._now = lambda: next(times)  # type: ignore[method-assign]
    with timer.part("outer"):
        timer.timed("inner", lambda: None)()
    assert timer.seconds == {"outer": 1.5, "inner": 3.0}


@pytest.mark.parametrize("r1", [0.0, 1.0])
def test_compiled_judges_train_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, r1: float
) -> None:
    compiled = list[nn.Module]()

    def compile_by_autograd(self: nn.Module) -> None:
        compiled.append(self)
        self._compiled_call_impl = torch.compile(self._call_impl, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", compile_by_autograd)
    config = read_config(settings, "tokenizer")
    assert isinstance(config, TrainTokenizerConfig)
    gan = replace(config.loss.gan, r1=r1, r1_every=2)
    loss = replace(config.loss, perceptual=1.0, perceptual_net="lpips_vgg", gan=gan)
    logs = []
    for compile_ in (False, True):
        torch.manual_seed(0)
        run = replace(config.run, compile=compile_, precision="fp32")
        step = training_step(replace(config, run=run, loss=loss))
        logs.append([{name: float(v) for name, v in step().items()} for _ in range(3)])
    names = {type(module).__name__ for module in compiled}
    assert {"RandomLPIPS", "StyleGANDiscriminator"} <= names
    for eager, other in zip(*logs, strict=True):
        assert other == pytest.approx(eager, rel=1e-4, abs=1e-6)


def test_adaptive_weights_leave_the_judges_as_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = list[nn.Module]()
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    config = read_config(settings, "tokenizer")
    assert isinstance(config, TrainTokenizerConfig)
    gan = replace(config.loss.gan, adaptive=True)
    loss = replace(config.loss, perceptual=1.0, perceptual_net="lpips_vgg", gan=gan)
    run = replace(config.run, compile=True)
    training_step(replace(config, run=run, loss=loss))
    assert {type(module).__name__ for module in compiled} == {"Block"}


def test_lpips_sees_images_as_far_apart_as_they_are() -> None:
    torch.manual_seed(0)
    network = RandomLPIPS()
    x, y = torch.rand(2, 2, 3, 32, 32)
    assert float(network(x, x)) == 0 and float(network(x, y)) > 0
    assert sum(p.numel() for p in network.parameters()) == 14_714_688  # VGG16's convolutions


def test_the_whole_benchmark_at_toy_size(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(training, "WARM", 1)
    monkeypatch.setattr(training, "in_fresh_process", lambda call, *given: here(call, *given))

    def here(call: Callable[..., object], *given: object) -> object:
        return (1e12, "a guess") if call is peak_flops else call(*given)

    arguments = ["--tokenizer", *settings.tokenizer, "--generator", *settings.generator]
    arguments += ["--tokens", "4", "--batch", "2", "--steps", "2", "--no-compile"]
    training.main([*arguments, "--task", "generator", "--out", str(tmp_path / "out")])
    rows = json.loads((tmp_path / "out" / "training.json").read_text())["rows"]
    assert [row["row"]["variant"]["precision"] for row in rows] == ["fp32", "bf16"]
    assert all(len(row["row"]["seconds"]) == 2 for row in rows)
    assert "1 TFLOP/s in fp32 (a guess)" in (tmp_path / "out" / "training.md").read_text()


def test_a_fresh_process_is_another_one() -> None:
    assert in_fresh_process(os.getpid) != os.getpid()


def test_a_peak_is_what_a_product_reaches() -> None:
    peak, source = peak_flops("fp32", "cpu")
    assert peak > 1e8 and "2048" in source


def test_the_report_gives_the_share_of_the_peak(tmp_path: Path) -> None:
    row = Row(
        task="generator step",
        batch=8,
        variant=Variant(model="textok", compiled=True, precision="bf16"),
        seconds=[2.0, 2.0],
        peer_seconds=[4.0, 4.0],
        peak_mib=100.0,
    )
    write_report([Measured(row=row, flops=1e12, peak=1e13, source="X")], ["--batch", "8"], tmp_path)
    line = (
        "| generator step | 8 | textok compiled bf16 | 4 | 2.00 (2.00 to 2.00) | 100 | 1000 | 4 "
        "| 40.0 % |"
    )
    assert line in (tmp_path / "training.md").read_text()
