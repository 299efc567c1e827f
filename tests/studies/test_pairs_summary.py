"""Gains by hand, summaries of unfinished studies, and the page made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studies.notes import NOTES
from studies.pairs.gains import doubled, gains, one_sided
from studies.pairs.page import page, write_page
from studies.pairs.study import Generator, Study
from studies.pairs.summary import note_hardware, summary, write_summary
from studies.photographs.budgets import TOY, study_of
from studies.text_gain import Member
from textok.config import TrainGeneratorConfig, TrainTokenizerConfig
from textok.config.presets import preset_path
from textok.config.read import load_config, to_yaml

INTERVAL = {"mean": 0.5, "low": 0.25, "high": 0.75}


def distances(numbers: dict[tuple[int, str, int], float]) -> dict[Member, dict[str, float]]:
    return {
        Member(tokens=tokens, text=text, seed=seed): {"FD": value}
        for (tokens, text, seed), value in numbers.items()
    }


def test_gains_are_percent_of_the_distance_without_text() -> None:
    found = distances(
        {
            (4, "none", 0): 200,
            (4, "both", 0): 150,  # 25 %
            (4, "none", 1): 100,
            (4, "both", 1): 95,  # 5 %
            (2, "none", 0): 300,
            (2, "both", 0): 270,  # 10 %
            (2, "none", 1): 1,  # its pair is not there yet
        }
    )
    found_gains = gains(found, metrics=["FD"], tokens=[2, 4, 8], seeds=[0, 1])["FD"]
    assert found_gains["by_tokens"]["4"] == {"mean": 15.0, "by_seed": {"0": 25.0, "1": 5.0}}
    assert found_gains["by_tokens"]["2"] == {"mean": 10.0, "by_seed": {"0": 10.0, "1": None}}
    assert found_gains["by_tokens"]["8"] == {"mean": None, "by_seed": {"0": None, "1": None}}
    assert found_gains["mean"] == 12.5

    twice = doubled(found, metrics=["FD"], tokens=[4, 2, 8], seeds=[0, 1])["FD"]
    assert twice == {"2": 100 * (200 - 270) / 200, "4": None}


def test_text_in_one_side_is_compared_with_none() -> None:
    found = distances({(4, "none", 0): 100, (4, "encoder", 0): 98})
    assert one_sided(found, metrics=["FD"], tokens=4, seeds=[0, 1]) == {
        "FD": {"encoder": 2.0, "decoder": None}
    }


def trained(study: Study, tokens: int, text: str, frechet: float, other: float) -> None:
    """A run folder with a report of these distances; with text a wrong caption costs 8."""
    run = study.runs / Member(tokens=tokens, text=text, seed=0).name
    (run / "test").mkdir(parents=True)
    config = load_config(
        TrainTokenizerConfig,
        [preset_path("photographs-64")],
        {"run": {"steps": 3, "batch_size": 4}, "tokenizer": {"text": text, "num_tokens": tokens}},
    )
    (run / "config.yaml").write_text(to_yaml(config))

    def row(source: str, more: float = 0) -> dict[str, Any]:
        return {
            "source": source,
            "frechet": frechet + more,
            "other_frechet": {"FD-VGG16": other + more},
            "metrics": {"psnr": INTERVAL, "lpips_alex": INTERVAL},
        }

    reading = [row("true"), row("shuffled", 8)] if text == "both" else [row("absent")]
    report = {
        "metric": "FD-EffLite0",
        "protocol": {"images": 10},
        "not_comparable": ["lpips_alex"],
        "gates": [{"passed": frechet < 100}],
        "rows": [*reading, row("pca", 50)],
    }
    (run / "test" / "report.json").write_text(json.dumps(report))


def drawn(study: Study, text: str, frechet: float) -> None:
    tokenizer = Member(tokens=2, text=text, seed=0)
    place = study.runs / "generators" / Generator(tokenizer=tokenizer, kind="class").name
    (place / "test").mkdir(parents=True)
    config = load_config(
        TrainGeneratorConfig,
        [preset_path("dit-photographs-64-class")],
        {"run": {"steps": 5, "batch_size": 2}},
    )
    (place / "config.yaml").write_text(to_yaml(config))
    scores = {
        "pictures": 10,
        "frechet": frechet,
        "other_frechet": {"FD-VGG16": 2 * frechet},
        "manifold": {"precision": 0.5, "recall": 0.125},
        "alignment": None,
        "memorisation": None,
        "class_accuracy": {"drawn": INTERVAL, "real": INTERVAL},
    }
    report = {"metric": "FD-EffLite0", "scores": scores}
    (place / "test" / "report.json").write_text(json.dumps(report))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return study_of(TOY, Path("data"), tmp_path / "runs")


def test_of_nothing_every_gain_is_null_and_the_page_says_so(study: Study, tmp_path: Path) -> None:
    write_summary(summary(study, ["a command"]), tmp_path)
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["tokenizer_fd_gain_percent_mean"] is None
    assert found["generator_fd_gain_percent_mean"] is None
    assert found["images_seen"] is found["hardware"] is found["metric"] is None
    assert (found["seeds"], found["tokenizers"], found["commands"]) == ([], [], ["a command"])
    text = page(found, title="Title", about="About.")
    assert text.startswith("# Title\n\nAbout.\n")
    assert text.count(": not measured.") == 2


def test_what_was_measured_is_there_and_the_rest_is_null(study: Study, tmp_path: Path) -> None:
    trained(study, 2, "none", 80, 40)
    trained(study, 2, "both", 60, 39)
    trained(study, 1, "none", 120, 70)
    trained(study, 1, "both", 126, 63)
    drawn(study, "none", 50)
    drawn(study, "both", 40)
    note_hardware(study.runs)
    found = json.loads(json.dumps(summary(study, ["a command"])))

    assert found["metric"] == "FD-EffLite0"
    assert found["tokenizer_fd_gain_percent_mean"] == 10.0  # 25 % and -5 %
    by_tokens = found["tokenizer_fd_gain_percent"]["FD-VGG16"]["by_tokens"]
    assert {count: each["mean"] for count, each in by_tokens.items()} == {"1": 10.0, "2": 2.5}
    assert found["generator_fd_gain_percent_mean"] == 20.0
    assert found["gain_percent_over_twice_the_tokens"]["FD-EffLite0"] == {"1": -57.5}
    assert found["one_sided_gain_percent"]["FD-EffLite0"] == {"encoder": None, "decoder": None}
    assert (found["images_seen"], found["rows_seen"], found["seeds"]) == (12, 10, [0])
    assert found["trained_in"] == "lpips_alex"
    assert found["hardware"]["cores"] >= 1
    entry = next(one for one in found["tokenizers"] if one["name"] == "k1-both-s0")
    assert entry["gate_passed"] is False
    assert entry["captions"]["shuffled"]["frechet"] == {"FD-EffLite0": 134, "FD-VGG16": 71}
    assert entry["pca"]["frechet"]["FD-EffLite0"] == 176

    lines = page(found, title="Title", about="About.").splitlines()
    verdicts = [line for line in lines if "the paper's mean on ImageNet" in line]
    assert "10.0 % lower" in verdicts[0]
    assert verdicts[0].endswith("29.2 %: not reached.")
    assert "20.0 % lower" in verdicts[1]
    assert verdicts[1].endswith("16.3 %: reached.")
    assert "| 1 | -5.0 | 10.0 | -57.5 | 10.0 |" not in lines  # VGG over 2K: (40 - 63) / 40
    assert "| 1 | -5.0 | 10.0 | -57.5 | -57.5 |" in lines
    assert "| mean | 10.0 | 6.2 | – | – |" in lines
    assert any("LPIPS-Alex ↓ *" in line for line in lines)
    assert "| class | 2 | both | 0 | 40.00 | 80.00 | 0.500 | 0.125 | 0.500 |" in lines


def test_what_was_written_by_hand_stays(study: Study, tmp_path: Path) -> None:
    found = summary(study, [])
    write_page(found, tmp_path, title="One", about="About.")
    path = tmp_path / "README.md"
    path.write_text(path.read_text() + f"\n{NOTES}\n\nBy hand.\n")
    write_page(found, tmp_path, title="Two", about="About.")
    text = path.read_text()
    assert text.startswith("# Two")
    assert text.endswith(f"\n\n{NOTES}\n\nBy hand.\n")
    write_page(found, tmp_path, title="Two", about="About.")
    assert path.read_text() == text
