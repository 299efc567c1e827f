"""Whole trainings: what they leave behind, and that killing them changes nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from textok.config import TrainTokenizerConfig
from textok.config.read import load_config
from textok.tokenizer import Tokenizer

CURVE = Path(__file__).with_name("curve.json")


def test_every_job_ends_as_it_should(runs) -> None:
    killed, terminated = -signal.SIGKILL, 128 + signal.SIGTERM
    one = {name: codes[0] for name, codes in runs.codes.items() if len(codes) == 1}
    assert one == {
        "whole": 0,
        "again": 0,
        "before any checkpoint": killed,
        "after a log line": killed,
        "while saving": killed,
        "before the model": killed,
        "damaged and terminated": terminated,
        "before the last model": killed,
        "to the end": 0,
        "halves": 0,
        "curve": 0,
    }
    assert runs.codes["two"] == runs.codes["two, to the end"] == [0, 0]
    assert runs.codes["two, after a log line"][0] == runs.codes["two, while saving"][0] == killed


@pytest.mark.parametrize(("killed", "whole"), [("killed", "whole"), ("two-killed", "two")])
def test_a_killed_run_ends_bit_identical(runs, killed: str, whole: str) -> None:
    left, right = runs.weights(killed), runs.weights(whole)
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert runs.log(killed) == runs.log(whole)
    for name in ("config.json", "model.safetensors"):
        saved = [(runs.root / run / "model" / name).read_bytes() for run in (killed, whole)]
        assert saved[0] == saved[1]


def test_the_checkpoint_holds_every_part(runs) -> None:
    parts = {"/".join(key.split("/")[:3]) for key in runs.weights("whole")}
    assert parts == {
        f"state/task/{name}"
        for name in "tokenizer ema optimizer discriminator discriminator_optimizer lecam".split()
    }
    assert runs.weights("whole")["state/task/lecam/ema_real"].item() != 0


def test_a_damaged_checkpoint_is_named_and_passed_over(runs) -> None:
    text = runs.output("damaged and terminated")
    assert "checkpoints/step-00000008 is damaged: checksum of state.safetensors" in text
    assert "stopped and saved at step 9: run the same command to go on" in text
    assert sorted(p.name for p in (runs.root / "killed" / "checkpoints").iterdir()) == [
        "step-00000009",
        "step-00000010",
    ]


@pytest.mark.parametrize("split", ["halves", "two"])
def test_how_the_batch_is_split_changes_nothing(runs, split: str) -> None:
    whole, parts = runs.weights("whole"), runs.weights(split)
    assert whole.keys() == parts.keys()
    start = runs.weights("whole", step=8)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=2e-5, msg=key)
    for name in ("tokenizer/decoder.head.weight", "discriminator/from_rgb.0.weight"):
        moved = (whole[f"state/task/{name}"] - start[f"state/task/{name}"]).abs().max()
        assert moved > 1e-4


def test_a_finished_run_says_so_and_stays(runs) -> None:
    assert "is finished" in runs.output("again")
    assert "step" not in runs.output("again").replace(str(runs.root), "")


def test_the_run_folder(runs) -> None:
    root = runs.root / "whole"
    names = {path.name for path in root.iterdir()}
    assert names == {
        *("checkpoints", "config.yaml", "curves.png", "data-fingerprint.json.gz", "log.jsonl"),
        *("model", "report.md", "sheets", "tensorboard", "finished.json", ".lock"),
        ".textok.json",
    }
    assert [p.name for p in sorted((root / "checkpoints").iterdir())] == [
        "step-00000008",
        "step-00000010",
    ]
    assert [p.name for p in sorted((root / "sheets").iterdir())] == [
        "step-00000005.png",
        "step-00000010.png",
    ]
    assert load_config(TrainTokenizerConfig, [root / "config.yaml"]).run.out == str(root)


def test_the_saved_model_has_the_averaged_weights(runs) -> None:
    model = Tokenizer.from_pretrained(runs.root / "whole" / "model").state_dict()
    weights = runs.weights("whole")
    for key, value in model.items():
        assert torch.equal(weights[f"state/task/ema/module/{key}"], value)
    assert not torch.equal(
        model["decoder.head.weight"], weights["state/task/tokenizer/decoder.head.weight"]
    )


def test_sheets_show_originals_and_both_reconstructions(runs, pictures: Path) -> None:
    sheet = np.asarray(Image.open(runs.root / "whole" / "sheets" / "step-00000010.png"))
    first = np.asarray(Image.open(pictures / "00.png"))
    shown = (sheet == first[8, 8]).all(axis=-1)
    assert shown.sum() >= 36 * 64  # an 8 x 8 square, enlarged six times each way
    assert sheet.shape[1] > 3 * 96


def test_the_report(runs) -> None:
    report = (runs.root / "whole" / "report.md").read_text()
    last = runs.log("whole")[-1]
    assert f"| loss | {runs.log('whole')[0]['loss']:.5g} | {last['loss']:.5g} |" in report
    assert "| skipped | 0 | 0 |" in report
    assert "Data: 12 images" in report
    assert "sheets/step-00000010.png" in report
    assert "batch_size: 8" in report


def test_tensorboard_of_a_killed_run_has_each_step_once(runs) -> None:
    board = EventAccumulator(str(runs.root / "killed" / "tensorboard")).Reload()
    events = board.Scalars("loss")
    assert [event.step for event in events] == list(range(1, 11))
    logged = [line["loss"] for line in runs.log("killed")]
    assert [event.value for event in events] == pytest.approx(logged)


def machine() -> dict[str, str]:
    """What the last bits of a float depend on: torch's build, and the kernels a CPU has it pick."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    vendor = next((line.split()[-1] for line in lines if line.startswith("vendor_id")), "")
    cpu = f"{vendor} {torch.backends.cpu.get_cpu_capability()}"
    return {"torch": torch.__version__, "cpu": cpu}


def test_the_loss_goes_down_along_the_stored_curve(runs) -> None:
    """Bit for bit on a machine like the one that stored it, nearly so on any other.

    A curve that changes on purpose is stored anew from this test's message.
    """
    stored, losses = json.loads(CURVE.read_text()), runs.losses("curve")
    curve = [float.fromhex(loss) for loss in losses]
    assert len(curve) == 20
    message = json.dumps({**machine(), "losses": losses})
    if machine() == {name: stored[name] for name in ("torch", "cpu")}:
        assert losses == stored["losses"], message
    expected = [float.fromhex(loss) for loss in stored["losses"]]
    assert curve == pytest.approx(expected, rel=2e-3), message
    assert sum(curve[-3:]) < 0.8 * sum(curve[:3])
