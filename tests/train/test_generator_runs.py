"""Whole trainings of a generator: what they leave behind, and that killing changes nothing."""

from __future__ import annotations

import signal

import pytest
import torch

from textok.data.class_captions import ClassCaptions
from textok.pipeline import TextToImage
from textok.train.on_latents import captions_to_sample


def test_every_job_ends_as_it_should(generator_runs) -> None:
    assert generator_runs.codes == {
        "whole": [0],
        "after a log line": [-signal.SIGKILL],
        "while saving": [-signal.SIGKILL],
        "to the end": [0],
        "halves": [0],
        "two": [0, 0],
    }


def test_a_killed_run_ends_bit_identical(generator_runs) -> None:
    left, right = generator_runs.weights("killed"), generator_runs.weights("whole")
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert generator_runs.log("killed") == generator_runs.log("whole")
    for name in ("pipeline.json", "generator/model.safetensors"):
        root = generator_runs.root
        saved = [(root / run / "model" / name).read_bytes() for run in ("killed", "whole")]
        assert saved[0] == saved[1]


@pytest.mark.parametrize("split", ["halves", "two"])
def test_how_the_batch_is_split_changes_nothing(generator_runs, split: str) -> None:
    whole, parts = generator_runs.weights("whole"), generator_runs.weights(split)
    start = generator_runs.weights("whole", step=8)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=2e-5, msg=key)
    name = "state/task/generator/final.linear.weight"
    assert (whole[name] - start[name]).abs().max() > 3e-4


def test_losses_by_noise_level_are_logged_with_the_sheets(generator_runs) -> None:
    log = generator_runs.log("whole")
    measured = {line["step"]: line for line in log if "val" in line}
    assert list(measured) == [5, 10]
    levels = [measured[10][f"val_t{level}"] for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert measured[10]["val"] == pytest.approx(sum(levels) / 5, rel=1e-4)


def test_a_class_without_held_out_captions_keeps_some_of_its_training_captions() -> None:
    seen = [f"caption {number:03}" for number in range(200)]
    kept = captions_to_sample(seen, seen[:3])
    assert kept == ClassCaptions(train=tuple(seen[::4]))
    assert captions_to_sample(seen, ["new", "caption 001"]) == ClassCaptions(held_out=("new",))
    assert captions_to_sample([], []) == ClassCaptions()


def test_what_is_left_is_a_pipeline_that_knows_its_classes(generator_runs) -> None:
    pipeline = TextToImage.from_pretrained(generator_runs.root / "whole" / "model")
    assert pipeline.classes == ["even", "odd"]
    captions = pipeline.parts.class_captions["odd"]
    # The rest of the validation captions were seen in training, whose captions stay with the
    # latents.
    assert captions.held_out == ("square number 4",)
    assert captions.train == ()
    picture = pipeline.of_class("odd")[0]
    assert picture.size == (16, 16)
    sheets = generator_runs.root / "whole" / "sheets"
    assert sorted(path.name for path in sheets.iterdir()) == [
        "step-00000005.png",
        "step-00000010.png",
    ]
