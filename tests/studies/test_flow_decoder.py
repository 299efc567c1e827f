"""The study of decoders: equal in parameters and images, and its numbers by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from studies.flow_decoder.__main__ import ABOUT, TITLE, every_step
from studies.flow_decoder.budgets import FEW, SCALES, TOY, studies_of
from studies.flow_decoder.page import NOTES, write_page
from studies.flow_decoder.summary import comparison, summary
from studies.pairs.summary import note_hardware
from studies.text_gain import Member
from textok.config import TrainTokenizerConfig
from textok.config.presets import preset_path
from textok.config.read import load_config, to_yaml
from textok.tokenizer import Tokenizer

DATA, RUNS = Path("data"), Path("runs")


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_decoders_have_equal_parameters_and_see_equal_images(name: str, read) -> None:
    studies = studies_of(SCALES[name], DATA, RUNS)
    trained: dict[str, list[Any]] = {"regression": [], "flow": []}
    for step in every_step(studies):
        if step.command[:2] == ("train", "tokenizer"):
            config = read(step)[1]
            trained[config.tokenizer.decoding].append(config)
    assert [c.tokenizer.num_tokens for c in trained["flow"][:10:2]] == [4, 2, 8, 1, 16]
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
        found = [read(step)[0] for step in every_step(studies_of(scale, DATA, RUNS))]
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
    empty = summary(studies, runs, ["this"])
    assert empty["fd_flow_mean_k_le_8"] is None and empty["hardware"] is None
    write_page(empty, tmp_path, title=TITLE, about=ABOUT)
    assert "Not measured yet" in (tmp_path / "README.md").read_text()

    note_hardware(runs)
    numbers = {("regression", "none"): 90, ("regression", "both"): 80, ("flow", "none"): 60}
    for (decoder, text), frechet in {**numbers, ("flow", "both"): 30}.items():
        trained(runs, decoder, Member(tokens=2, text=text, seed=0), frechet)
    found = json.loads(json.dumps(summary(studies, runs, ["this"])))
    assert (found["fd_flow_mean_k_le_8"], found["fd_regression_mean_k_le_8"]) == (30, 80)
    assert found["caption_gain_percent_mean_k_le_8"] == 50
    assert found["networks"]["FD-VGG16"]["fd_regression_none"]["by_tokens"] == {"2": 180}
    assert found["hardware"]["torch"] == torch.__version__
    page = tmp_path / "README.md"
    page.write_text(page.read_text() + f"\n{NOTES}\n\nby hand\n")
    write_page(found, tmp_path, title=TITLE, about=ABOUT)
    text = page.read_text()
    assert "mean over K <= 8: 0.375; the goal is 0.5 at most: reached." in text
    assert "| 2 | 90.00 | 80.00 | 60.00 | 30.00 | 0.38 | 11.11 | 50.00 |" in text
    assert "| flow | 2 | both | 0 | 20.000 |" in text
    assert text.endswith("by hand\n")
