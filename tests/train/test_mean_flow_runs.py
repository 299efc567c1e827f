"""Whole trainings by average velocities: killed, split, sharded; and what they leave behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from tests.train.jobs import Runs
from textok.cli.main import main
from textok.pipeline import TextToImage


def test_every_job_ends_as_it_should(mean_flow_runs: Runs) -> None:
    assert mean_flow_runs.codes == {
        "whole": [0],
        "after a log line": [-signal.SIGKILL],
        "to the end": [0],
        "two halves": [0, 0],
        "sharded": [0, 0],
    }


def test_a_killed_run_ends_bit_identical(mean_flow_runs: Runs) -> None:
    left, right = mean_flow_runs.weights("killed"), mean_flow_runs.weights("whole")
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert mean_flow_runs.log("killed") == mean_flow_runs.log("whole")


@pytest.mark.parametrize("split", ["two", "sharded"])
def test_how_the_batch_is_split_changes_nothing(mean_flow_runs: Runs, split: str) -> None:
    whole, parts = mean_flow_runs.weights("whole"), mean_flow_runs.weights(split)
    start = mean_flow_runs.weights("whole", step=8)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=2e-3, atol=5e-5, msg=key)
    for name in ("final.linear.weight", "mean_flow.mlp.outer.weight"):
        name = f"state/task/generator/{name}"
        assert (whole[name] - start[name]).abs().max() > 3e-4


def test_both_errors_are_logged_and_measured_on_held_out_rows(mean_flow_runs: Runs) -> None:
    log = mean_flow_runs.log("whole")
    # A new network gives zeros: both errors are E |noise - x_0|^2 = 2, both terms of the loss 1.
    for name in ("average_velocity", "velocity"):
        assert log[0][name] == pytest.approx(2, abs=0.6)
    assert log[0]["loss"] == pytest.approx(2, abs=0.01)
    measured = next(line for line in log if "val" in line)
    levels = [f"{kind}{level}" for kind in ("t", "average") for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    values = [measured[f"val_{level}"] for level in levels]
    assert measured["val"] == pytest.approx(sum(values) / 10, rel=1e-4)
    assert all(1 < value < 3 for value in values)


def test_what_is_left_is_a_pipeline_that_draws_in_one_step(mean_flow_runs: Runs) -> None:
    pipeline = TextToImage.from_pretrained(mean_flow_runs.root / "whole" / "model")
    assert (pipeline.sampling.sampler, pipeline.sampling.steps) == ("meanflow", 1)
    card = (mean_flow_runs.root / "whole" / "model" / "README.md").read_text()
    assert "| trained by | meanflow (arXiv 2512.02012) |\n" in card
    assert "| sampling | meanflow, 1 step |\n" in card
    done = list[int]()
    picture = pipeline.of_class("odd", guidance=2, on_step=done.append)[0]
    assert picture.size == (16, 16) and done == [1]
    pipeline.of_class("odd", steps=4, on_step=done.append)
    assert done == [1, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"^negative: .* leave the negative prompt or class out$"):
        pipeline.of_class("odd", negative="even")
    with pytest.raises(ValueError, match=r"^guidance\.scale is 9: .* learnt 1 \(none\) to 8$"):
        pipeline.of_class("odd", guidance=9)


def test_the_command_line_draws_and_measures_by_it(
    mean_flow_runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(mean_flow_runs.root / "whole" / "model")
    words = ["generate", "--class", "odd", "--model", model, "--out", str(tmp_path / "drawn")]
    assert main([*words, "--steps", "2", "--guidance", "3", "--device", "cpu"]) == 0
    assert (tmp_path / "drawn" / "sheet.png").is_file()
    refused = tmp_path / "refused"
    assert main([*words[:-1], str(refused), "--negative", "even"]) == 2
    assert "negative: a generator trained by 'meanflow'" in capsys.readouterr().err
    assert not refused.exists()
