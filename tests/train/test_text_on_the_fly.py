"""Captions encoded batch by batch, where nothing is stored: the same training, however split."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.text.conftest import save_t5
from tests.train.conftest import extract_pictures
from tests.train.jobs import STEPS, Jobs, Runs
from textok.config import LatentsConfig, TextConfig, TrainGeneratorConfig, TrainTokenizerConfig
from textok.data.order import Order
from textok.latents import open_latents
from textok.text import FrozenTextEncoder, load_text_encoder
from textok.train.latent_batches import latent_batches
from textok.types import TextFeatures

CAPTIONS = ("a red dog", "", "two large blue trees on white", "", "a cat", "")
"""Of the pictures, in turn: half of them have none, so that a whole micro-batch may have none."""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextConfig:
    folder = save_t5(tmp_path_factory.mktemp("t5"))
    return TextConfig(encoder=str(folder), max_tokens=8, drop=0.3)


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioned")
    random = np.random.default_rng(0)
    for index in range(12):
        pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(CAPTIONS[index % len(CAPTIONS)])
    return folder


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
    config: TrainTokenizerConfig,
    generator_config: TrainGeneratorConfig,
    captioned: Path,
    text: TextConfig,
) -> Runs:
    """Tokenizers, and DiTs on their latents, by stored features and by none."""
    root = tmp_path_factory.mktemp("runs")
    nothing = replace(text, store="nothing")
    stored = replace(
        config,
        tokenizer=replace(config.tokenizer, text_width=16),
        data=replace(config.data, path=str(captioned)),
        text=text,
    )
    latents = extract_pictures(root / "latents", captioned, text=text, text_width=16)
    by_text = replace(
        generator_config,
        generator=replace(generator_config.generator, condition="text"),
        latents=LatentsConfig(path=str(latents)),
        text=text,
    )
    jobs = Jobs(root, stored, fake_text=False)
    jobs.add("stored", "stored")
    jobs.config = replace(stored, text=replace(text, drop=1.0))
    jobs.add("no caption", "none")
    jobs.config = replace(stored, text=nothing)
    add_all(jobs, "fly")
    jobs.config = replace(jobs.config, text=replace(nothing, shard=True))
    jobs.add("fly, shared out", "fly-shared", world=2, accumulate=2)
    jobs.config = by_text
    jobs.add("dit, stored", "dit-stored")
    jobs.config = replace(by_text, text=replace(text, drop=1.0))
    jobs.add("dit, no caption", "dit-none")
    jobs.config = replace(by_text, text=nothing)
    add_all(jobs, "dit")
    jobs.config = replace(jobs.config, text=replace(nothing, shard=True))
    jobs.add("dit, shared out", "dit-shared", world=2, accumulate=2)
    return jobs.run()


def add_all(jobs: Jobs, name: str) -> None:
    """One process, one that is killed and goes on, and two."""
    jobs.add(f"{name}, whole", name)
    jobs.add(f"{name}, killed", f"{name}-killed", die="log:6")
    jobs.add(f"{name}, to the end", f"{name}-killed")
    jobs.add(f"{name}, by two", f"{name}-two", world=2, accumulate=2)


def difference(runs: Runs, one: str, other: str) -> float:
    first, second = runs.weights(one), runs.weights(other)
    assert first.keys() == second.keys()
    return max(float((first[key].float() - second[key].float()).abs().max()) for key in first)


@pytest.mark.parametrize("kind", ["", "dit-"])
@pytest.mark.parametrize("other", ["fly", "fly-two", "fly-shared"])
def test_it_is_the_training_by_stored_features(runs: Runs, kind: str, other: str) -> None:
    if kind:
        other = other.replace("fly", "dit")
    assert difference(runs, f"{kind}stored", other) < 2e-4
    assert difference(runs, f"{kind}stored", f"{kind}none") > 2e-3  # captions do count


@pytest.mark.parametrize("run", ["fly", "dit"])
def test_a_run_that_is_killed_goes_on_to_the_same_bits(runs: Runs, run: str) -> None:
    assert runs.codes[f"{run}, killed"] == [-9]
    whole, killed = runs.weights(run), runs.weights(f"{run}-killed")
    assert all(torch.equal(killed[key], value) for key, value in whole.items())
    assert [line["step"] for line in runs.log(f"{run}-killed")] == list(range(1, STEPS + 1))


def test_nothing_is_written_and_the_model_does_not_speak_of_it(runs: Runs) -> None:
    assert list((runs.root / "stored" / "text-cache").glob("*/*.safetensors"))
    for run in ("fly", "fly-two", "fly-shared", "dit", "dit-shared"):
        assert not (runs.root / run / "text-cache").exists()
        for file in (runs.root / run / "model").rglob("*.json"):
            assert "nothing" not in file.read_text()


def test_the_encoder_runs_in_the_thread_of_the_steps(
    runs: Runs,
    text: TextConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In another one its exchange with other processes could cross that of the gradients."""
    threads: list[threading.Thread] = []
    encode = FrozenTextEncoder.__call__

    def noting(self: FrozenTextEncoder, captions: Sequence[str]) -> TextFeatures:
        threads.append(threading.current_thread())
        return encode(self, captions)

    monkeypatch.setattr(FrozenTextEncoder, "__call__", noting)
    order = Order(size=8, seed=0, global_batch=8, accumulate=1, rank=0, world_size=1)
    latents = open_latents(runs.root / "latents" / "latents")
    steps = latent_batches(latents, load_text_encoder(text), order=order, step=0)
    next(steps), next(steps)
    assert threads == [threading.main_thread()] * 2


def test_a_folder_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"text\.store is 'nothing' but text\.cache names here"):
        TextConfig(store="nothing", cache="here")
