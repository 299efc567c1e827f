"""Tiny trainings: made once, killed and continued, looked at by many tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from textok.config import (
    DataConfig,
    GanConfig,
    LossConfig,
    OptimConfig,
    RunConfig,
    TextConfig,
    TokenizerConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.read import to_yaml

STEPS = 10


@dataclass(frozen=True)
class Runs:
    """What the driver's jobs left behind."""

    root: Path
    codes: dict[str, list[int]]
    """Exit code of each process of each job, by the job's name."""

    def output(self, job: str) -> str:
        return (self.root / f"{job}.txt").read_text()

    def weights(self, run: str, *, step: int = STEPS) -> dict[str, Tensor]:
        """All tensors of a checkpoint but the states of random generators."""
        folder = self.root / run / "checkpoints" / f"step-{step:08d}"
        tensors = load_file(folder / "state.safetensors")
        return {key: value for key, value in tensors.items() if "/rng/" not in key}

    def log(self, run: str) -> list[dict[str, Any]]:
        """The logged steps without their speed."""
        lines = (self.root / run / "log.jsonl").read_text().splitlines()
        kept = [json.loads(line) for line in lines]
        return [{k: v for k, v in line.items() if k != "images_per_second"} for line in kept]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve captioned images of 16 px."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(12):
        pixels = np.full((16, 16, 3), 255, np.uint8)
        pixels[4:12, 2 + index % 4 : 10] = random.integers(0, 255, 3)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"square number {index % 5}")
    return folder


@pytest.fixture(scope="session")
def config(pictures: Path) -> TrainTokenizerConfig:
    """A tokenizer of 16 px that trains in milliseconds on every loss but the perceptual one."""
    vit = ViTConfig(width=32, depth=1, heads=2)
    return TrainTokenizerConfig(
        tokenizer=TokenizerConfig(
            image_size=16,
            patch_size=4,
            num_tokens=4,
            channels=4,
            text_width=8,
            text_tokens=8,
            encoder=vit,
            decoder=vit,
            nested=True,
        ),
        data=DataConfig(path=str(pictures), workers=0, flip=True),
        text=TextConfig(max_tokens=8, drop=0.3),
        loss=LossConfig(perceptual=0, kl=1e-4, gan=GanConfig(start=2, base=16, lecam=0.1, lr=2e-3)),
        optim=OptimConfig(lr=2e-3, warmup=2, weight_decay=0.01),
        run=RunConfig(
            steps=STEPS,
            batch_size=8,
            precision="fp32",
            ema=0.9,
            log_every=1,
            save_every=4,
            save_minutes=0,
            sheet_every=5,
        ),
    )


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, config: TrainTokenizerConfig) -> Runs:
    """Uninterrupted runs, and the same ones killed at several points."""
    root = tmp_path_factory.mktemp("runs")
    jobs: dict[str, dict[str, Any]] = {}

    def job(
        name: str, run: str, *, die: str = "", world: int = 1, damage: str = "", **changes: int
    ) -> None:
        settings = replace(config, run=replace(config.run, out=str(root / run), **changes))
        if run == "curve":
            settings = with_perceptual(settings)
        path = root / f"{name}.yaml"
        path.write_text(to_yaml(settings))
        damaged = [str(root / run / damage)] if damage else []
        jobs[name] = {
            "config": str(path),
            "output": str(root / f"{name}.txt"),
            "world": world,
            "die": die,
            "damage": damaged,
            "curves": name == "whole",
        }

    newest = "checkpoints/step-00000008/state.safetensors"
    job("whole", "whole")
    job("again", "whole")
    job("before any checkpoint", "killed", die="log:3")
    job("after a log line", "killed", die="log:5")
    job("while saving", "killed", die="save:8")
    job("before the model", "killed", die="model:8")
    job("damaged and terminated", "killed", die="term:9", damage=newest)
    job("before the last model", "killed", die="model:10")
    job("to the end", "killed")
    job("halves", "halves", accumulate=2)
    job("two", "two", world=2)
    job("two, after a log line", "two-killed", world=2, die="log:6")
    job("two, while saving", "two-killed", world=2, die="save:8")
    job("two, to the end", "two-killed", world=2)
    job("curve", "curve", steps=20)

    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("driver.py"))],
        input=json.dumps(list(jobs.values())),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    codes = json.loads(done.stdout.splitlines()[-1])
    return Runs(root, dict(zip(jobs, codes, strict=True)))


def with_perceptual(config: TrainTokenizerConfig) -> TrainTokenizerConfig:
    """The configuration of the stored loss curve: the perceptual loss and loader processes, too."""
    return replace(
        config,
        loss=replace(config.loss, perceptual=0.1),
        data=replace(config.data, workers=1),
    )
