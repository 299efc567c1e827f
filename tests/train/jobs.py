"""Trainings in processes of their own, and what they leave behind. Not a test module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

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

    def losses(self, job: str) -> list[str]:
        """The exact losses of the logged steps of a job, as hexadecimal floats."""
        return (self.root / f"{job}.losses").read_text().split()


class Jobs:
    """Trainings to be run one after another, each in processes of its own."""

    def __init__(self, root: Path, config: Any, *, fake_text: bool = True) -> None:
        self.root, self.config, self.fake_text = root, config, fake_text
        self._jobs: dict[str, dict[str, Any]] = {}

    def add(
        self,
        name: str,
        run: str,
        *,
        die: str = "",
        world: int = 1,
        restarts: int | None = None,
        damage: str = "",
        curves: bool = False,
        **changes: Any,
    ) -> None:
        """A job in the run folder ``run`` that dies where it is told to.

        With ``restarts`` its processes are started, and so many times again, as by ``torchrun``.
        """
        out = str(self.root / run)
        settings = replace(self.config, run=replace(self.config.run, out=out, **changes))
        path = self.root / f"{name}.yaml"
        path.write_text(to_yaml(settings))
        self._jobs[name] = {
            "settings": type(settings).__name__,
            "config": str(path),
            "output": str(self.root / f"{name}.txt"),
            "world": world,
            "restarts": restarts,
            "die": die,
            "damage": [str(self.root / run / damage)] if damage else [],
            "curves": curves,
            "fake_text": self.fake_text,
        }

    def run(self) -> Runs:
        driver = start_driver()
        assert driver.stdin is not None and driver.stdout is not None
        driver.stdin.write(json.dumps(list(self._jobs.values())) + "\n")
        driver.stdin.flush()
        codes = json.loads(driver.stdout.readline())
        return Runs(self.root, dict(zip(self._jobs, codes, strict=True)))


@cache
def start_driver() -> subprocess.Popen[str]:
    """One for all tests of this process: seconds of imports. It ends with its standard input."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("driver.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
