"""A tokenizer's decoder that is trained by the Frechet distance of its reconstructions, too."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
import torch

from tests.train.jobs import Jobs, Runs
from textok.config import TrainTokenizerConfig, TrainVQGANConfig
from textok.config.decoding import FlowDecoderConfig
from textok.config.frechet import FrechetConfig
from textok.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def frechet_config(config: TrainTokenizerConfig, tmp_path_factory) -> TrainTokenizerConfig:
    """The decoder alone of a tokenizer that is there already."""
    init = tmp_path_factory.mktemp("init") / "tokenizer"
    torch.manual_seed(0)
    Tokenizer(config.tokenizer, text=config.text.portable).save_pretrained(init)
    frechet = FrechetConfig(weight=0.5, networks=("alexnet",), population=24, every=2)
    loss = replace(config.loss, frechet=frechet)
    return replace(config, loss=loss, init=str(init), freeze_encoder=True)


@pytest.fixture(scope="module")
def frechet_runs(tmp_path_factory, frechet_config: TrainTokenizerConfig) -> Runs:
    """Whole, interrupted, and split over processes and micro-batches."""
    jobs = Jobs(tmp_path_factory.mktemp("frechet-runs"), frechet_config)
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:6")
    jobs.add("to the end", "killed")
    jobs.add("two halves", "two", world=2, accumulate=2)
    return jobs.run()


def test_the_loss_is_added_once_the_population_is_full(frechet_runs: Runs) -> None:
    log = frechet_runs.log("whole")
    assert [line["frechet"] > 0 for line in log[:4]] == [False, False, False, True]
    line = log[-1]
    assert "gan" in line and line["fd_alexnet"] > 0
    # Everything but pixels, the KL divergence, GAN and the distance is left out.
    others = line["l2"] + 1e-4 * line["kl"] + 0.1 * line["gan"]
    assert line["loss"] == pytest.approx(others + 0.5 * line["frechet"], rel=1e-4)


def test_the_encoder_stays_and_the_decoder_moves(
    frechet_runs: Runs, frechet_config: TrainTokenizerConfig
) -> None:
    first = Tokenizer.from_pretrained(frechet_config.init).state_dict()
    trained = Tokenizer.from_pretrained(frechet_runs.root / "whole" / "model")
    moved = {
        key for key, value in trained.state_dict().items() if not torch.equal(value, first[key])
    }
    assert moved and not any(key.startswith("encoder") for key in moved)
    assert "alexnet" in trained.trained_with


def test_an_interrupted_run_ends_bit_identical(frechet_runs: Runs) -> None:
    codes = frechet_runs.codes
    assert codes.pop("after a log line") == [-signal.SIGKILL]
    assert all(code == 0 for found in codes.values() for code in found), codes
    killed, whole = (frechet_runs.weights(run) for run in ("killed", "whole"))
    assert [key for key, value in whole.items() if not torch.equal(killed[key], value)] == []
    split = frechet_runs.weights("two")
    for key, value in whole.items():
        torch.testing.assert_close(split[key], value, rtol=1e-3, atol=2e-4, msg=key)


def test_what_cannot_be_trained_so(frechet_config: TrainTokenizerConfig) -> None:
    with pytest.raises(ValueError, match=r"loss\.frechet\.weight is -1"):
        FrechetConfig(weight=-1)
    loss, shape = frechet_config.loss, frechet_config.tokenizer
    with pytest.raises(ValueError, match=r"loss\.frechet is for tokenizers"):
        TrainVQGANConfig(loss=loss)
    flow = replace(shape, decoding="flow", flow=FlowDecoderConfig())
    plain = replace(loss, gan=replace(loss.gan, weight=0))
    with pytest.raises(ValueError, match=r"loss\.frechet\.weight is above 0 but tokenizer\.deco"):
        replace(frechet_config, tokenizer=flow, loss=plain)
    with pytest.raises(ValueError, match="no image is decoded"):
        replace(plain, l2=0, l1=0, perceptual=0, codes=1)
