"""A study as a list of commands, each of which leaves a file when it is complete."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

JUDGE = ("--feature-network", "efficientnet_lite0")
"""Of every Frechet distance, so that models are compared by one whatever a machine has."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One textok command. It is complete once ``done`` exists; an interrupted one continues."""

    command: tuple[str, ...]
    done: Path


def run_steps(steps: Sequence[Step], *, minutes: float = 0) -> bool:
    """Run what is not complete, in order; whether all is complete now.

    With ``minutes`` no step is begun after that time, so that a study fits a borrowed machine in
    parts. Raises SystemExit with the command's own code if one fails.
    """
    began = time.monotonic()
    for number, step in enumerate(steps, start=1):
        if step.done.exists():
            continue
        if minutes and time.monotonic() - began > 60 * minutes:
            return False
        print(f"[{number}/{len(steps)}] textok {shlex.join(step.command)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "textok.cli", *step.command]).returncode
        if code:
            raise SystemExit(code)
        assert step.done.exists(), f"the step left no {step.done}"
    return True


def words(*parts: object) -> tuple[str, ...]:
    """A command line's words from numbers, paths and texts."""
    return tuple(str(part) for part in parts)
