"""Three processes, shared-out weights, changing numbers of processes, and what kills them."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.jobs import Jobs, Runs
from textok.config import (
    CodebookConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
    VQGANConfig,
)
from textok.config.read import load_config

STEPS = 6
TERMINATED, KILLED, FAILED = 128 + signal.SIGTERM, -signal.SIGKILL, 1
PUBLISHED = ("pipeline.json", "generator/config.json", "tokenizer/config.json")


def short(config, **changes):
    """Few steps of twelve images, which two and three processes can share."""
    run = replace(
        config.run, steps=STEPS, batch_size=12, save_every=2, sheet_every=STEPS, keep=9, **changes
    )
    return replace(config, run=run)


@pytest.fixture(scope="module")
def image_runs(tmp_path_factory: pytest.TempPathFactory, config: TrainTokenizerConfig) -> Runs:
    """A tokenizer with discriminator, one with codes that are revived, and a VQGAN."""
    jobs = Jobs(tmp_path_factory.mktemp("image-runs"), short(config))
    jobs.add("kl", "kl")
    jobs.add("kl by three", "kl-3", world=3, accumulate=2)
    jobs.add("one of them", "moved", die="term:2")
    jobs.add("two of them", "moved", world=2, die="term:4", accumulate=3)
    jobs.config = replace(short(config), data=replace(config.data, cache="device"))
    jobs.add("three of them", "moved", world=3)
    shape = replace(
        config.tokenizer,
        bottleneck="vq",
        # So few that no two dead ones are revived as the same input: rounding would choose between
        # them ever after.
        codebook=CodebookConfig(size=4, l2_norm=False, revive=True),
    )
    jobs.config = replace(short(config), tokenizer=shape)
    jobs.add("vq", "vq")
    jobs.add("vq by two", "vq-2", world=2, accumulate=3)
    jobs.add("vq by three", "vq-3", world=3, accumulate=2)
    jobs.config = short(
        TrainVQGANConfig(
            vqgan=VQGANConfig(
                image_size=16,
                width=16,
                multipliers=(1, 2),
                res_blocks=1,
                codebook_size=8,
                codebook_channels=4,
                revive=True,
            ),
            data=config.data,
            loss=config.loss,
            optim=config.optim,
            run=config.run,
        )
    )
    jobs.add("vqgan", "vqgan")
    jobs.add("vqgan by two", "vqgan-2", world=2, accumulate=3)
    jobs.add("vqgan by three", "vqgan-3", world=3, accumulate=2)
    return jobs.run()


@pytest.fixture(scope="module")
def latent_runs(
    tmp_path_factory: pytest.TempPathFactory,
    generator_config: TrainGeneratorConfig,
    maskgit_config: TrainMaskGITConfig,
) -> Runs:
    """Generators copied to every process and shared out, killed, moved and restarted."""
    jobs = Jobs(tmp_path_factory.mktemp("latent-runs"), short(generator_config))
    jobs.add("whole", "whole")
    jobs.add("three", "three", world=3, accumulate=2)
    jobs.add("sharded", "sharded", world=2, accumulate=3, shard=True)
    jobs.add("sharded, killed", "moved", world=2, shard=True, die="save:4")
    jobs.add("sharded by three, told to stop", "moved", world=3, shard=True, die="term:4")
    jobs.add("not sharded", "moved", world=2, die="term:5")
    jobs.add("sharded again", "moved", world=2, shard=True)
    jobs.add("restarted, told to stop", "restarted", world=2, restarts=1, die="last:3,agent:4")
    jobs.add("restarted, to the end", "restarted", world=2)
    jobs.add("a full disk", "full", world=2, steps=4)
    jobs.add("a full disk later", "full", world=2, die="full:0")
    jobs.add("a loader that hangs", "hung", world=2, die="hang:3", wait_minutes=0.05)
    jobs.config = replace(
        short(maskgit_config), generator=replace(maskgit_config.generator, dropout=0.0)
    )
    jobs.add("codes", "codes")
    jobs.add("codes by three", "codes-3", world=3, accumulate=2)
    jobs.add("codes, sharded", "codes-sharded", world=2, shard=True)
    return jobs.run()


def assert_same_weights(runs: Runs, run: str, other: str, *, moved: str) -> None:
    """All parts of the checkpoints agree to rounding, and ``moved`` has been trained."""
    whole, parts = runs.weights(run, step=STEPS), runs.weights(other, step=STEPS)
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        torch.testing.assert_close(
            parts[key], value, rtol=1e-3, atol=2e-5, msg=lambda why, key=key: f"{key}: {why}"
        )
    before = runs.weights(run, step=4)
    assert (whole[moved] - before[moved]).abs().max() > 1e-4
    assert [line["step"] for line in runs.log(run)] == [line["step"] for line in runs.log(other)]
    for one, two in zip(runs.log(run), runs.log(other), strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("run", "other", "moved"),
    [
        ("kl", "kl-3", "tokenizer/decoder.head.weight"),
        ("kl", "moved", "discriminator/from_rgb.0.weight"),
        ("vq", "vq-2", "tokenizer/encoder.bottleneck.codebook.vectors"),
        ("vq", "vq-3", "tokenizer/encoder.bottleneck.codebook.use"),
        ("vqgan", "vqgan-2", "discriminator/from_rgb.0.weight"),
        ("vqgan", "vqgan-3", "vqgan/painter.codebook.vectors"),
    ],
)
def test_many_processes_train_what_one_trains(image_runs, run: str, other: str, moved: str) -> None:
    assert_same_weights(image_runs, run, other, moved=f"state/task/{moved}")


def test_a_signal_to_one_process_stops_all_with_143(image_runs) -> None:
    codes = image_runs.codes
    assert codes["one of them"] == [TERMINATED]
    assert codes["two of them"] == [TERMINATED, TERMINATED]
    assert codes["three of them"] == [0, 0, 0]
    assert "stopped and saved at step 4" in image_runs.output("two of them")


@pytest.mark.parametrize(
    ("run", "other", "moved"),
    [
        ("whole", "three", "final.linear.weight"),
        ("whole", "sharded", "final.linear.weight"),
        ("whole", "moved", "blocks.0.attention.qkv.weight"),
        ("whole", "restarted", "final.linear.weight"),
        ("codes", "codes-3", "head.weight"),
        ("codes", "codes-sharded", "head.weight"),
    ],
)
def test_generators_too_copied_or_sharded(latent_runs, run: str, other: str, moved: str) -> None:
    assert_same_weights(latent_runs, run, other, moved=f"state/task/generator/{moved}")


def test_sharded_runs_end_as_they_should(latent_runs) -> None:
    codes = latent_runs.codes
    assert codes["sharded"] == codes["sharded again"] == codes["codes, sharded"] == [0, 0]
    assert codes["sharded, killed"][0] == KILLED
    assert codes["sharded by three, told to stop"] == [TERMINATED] * 3
    assert codes["not sharded"] == [TERMINATED] * 2


def test_each_process_has_its_share_of_the_weights(latent_runs) -> None:
    def numbers(job: str) -> list[int]:
        return [int(n) for n in re.findall(r"numbers here: (\d+)", latent_runs.output(job))]

    (total, _), sharded = numbers("whole"), numbers("sharded")
    assert numbers("three") == [total] * 6
    assert len(sharded) == 4
    assert sum(sharded) == 2 * total
    assert max(sharded) < 0.6 * total


def test_a_sharded_run_publishes_the_same_model(latent_runs) -> None:
    root = latent_runs.root
    for name in PUBLISHED:
        whole, sharded = (root / run / "model" / name for run in ("whole", "sharded"))
        assert whole.read_bytes() == sharded.read_bytes()
    saved = latent_runs.weights("sharded", step=STEPS)
    averages = {key for key in saved if key.startswith("state/task/ema/module/")}
    assert averages and all(torch.isfinite(saved[key]).all() for key in averages)


def test_torchrun_restarts_what_died_and_hands_a_signal_on(latent_runs) -> None:
    """The second process is killed, all start again; then torchrun itself is told to stop."""
    told, end = "restarted, told to stop", "restarted, to the end"
    text = latent_runs.output(told)
    assert text.count("step 3/6") == 2  # the second time after the checkpoint of step 2
    assert "stopped and saved at step" in text
    assert latent_runs.codes[told] == [FAILED]
    assert latent_runs.codes[end] == [0, 0]


def test_a_full_disk_stops_all_processes_and_costs_nothing_saved(latent_runs) -> None:
    assert latent_runs.codes["a full disk later"] == [FAILED, FAILED]
    root = latent_runs.root / "full"
    text = latent_runs.output("a full disk later")
    line = f"cannot write the checkpoint of step 6 to {root}: [Errno 28] No space left on device"
    assert text.count(line) == 2
    kept = sorted(path.name for path in (root / "checkpoints").iterdir())
    assert kept == ["step-00000002", "step-00000004"]
    assert latent_runs.weights("full", step=4)
    assert (root / "model" / "pipeline.json").is_file()


def test_a_loader_that_hangs_is_named(latent_runs) -> None:
    text = latent_runs.output("a loader that hangs")
    assert latent_runs.codes["a loader that hangs"][1] == FAILED
    assert "run.wait_minutes: the next batch did not come within 0.05 minutes" in text
    assert latent_runs.weights("hung", step=2)


def test_tokenizers_are_not_sharded(config: TrainTokenizerConfig) -> None:
    with pytest.raises(ValueError, match=r"run\.shard is for generators"):
        replace(config, run=replace(config.run, shard=True))


def test_the_published_settings_do_not_speak_of_sharding(latent_runs) -> None:
    stored = load_config(TrainGeneratorConfig, [latent_runs.root / "sharded" / "config.yaml"])
    assert stored.run.shard
    assert "shard" not in Path(latent_runs.root / "sharded/model/generator/config.json").read_text()
