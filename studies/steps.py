"""A study as a list of commands, each of which leaves a file when it is complete."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from studies.command import refuse
from textok.config.check import require_range

JUDGE = ("--feature-network", "efficientnet_lite0")
"""Of every Frechet distance, so that models are compared by one whatever a machine has."""
TWO_JUDGES = ("--feature-networks", "efficientnet_lite0", "vgg16")
"""Where LPIPS's weights are at hand; for models whose loss reads AlexNet."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One textok command. It is complete once ``done`` exists; an interrupted one continues."""

    command: tuple[str, ...]
    done: Path
    seconds: float = 0.0
    """About how long it takes, where that was estimated."""
    late: Callable[[], tuple[str, ...]] = tuple
    """More of its words, known only once earlier steps are complete."""


def run_steps(
    steps: Sequence[Step],
    *,
    minutes: float = 0,
    run: Callable[[Sequence[str]], int] | None = None,
    after: Callable[[Step], None] | None = None,
) -> bool:
    """Run what is not complete, in order; whether all is complete now.

    With ``minutes`` no step is begun after that time, so that a study fits a borrowed machine in
    parts. ``run`` runs a command's words and returns its exit code, in a process of its own where
    it is not given; ``after`` is called whenever a step has become complete. Raises SystemExit with
    the command's own code if one fails, ValueError for ``minutes`` below 0.
    """
    require_range("--minutes", minutes, 0)
    began = time.monotonic()
    for number, step in enumerate(steps, start=1):
        if step.done.exists():
            continue
        if minutes and time.monotonic() - began > 60 * minutes:
            return False
        command = (*step.command, *step.late())
        print(f"[{number}/{len(steps)}] textok {shlex.join(command)}", flush=True)
        code = (run or in_a_process)(command)
        if code:
            raise SystemExit(code)
        assert step.done.exists(), f"the step left no {step.done}"
        if after is not None:
            after(step)
    return True


def in_a_process(command: Sequence[str]) -> int:
    """Run ``textok`` with these words; its exit code."""
    return subprocess.run([sys.executable, "-m", "textok.cli", *command]).returncode


def words(*parts: object) -> tuple[str, ...]:
    """A command line's words from numbers, paths and texts."""
    return tuple(str(part) for part in parts)


def plan(steps: Sequence[Step], assumption: str) -> str:
    """What is still to do and about how long it takes, one line a step."""
    left = [step for step in steps if not step.done.exists()]
    lines = [f"{len(steps) - len(left)} of {len(steps)} steps are done"]
    for step in left:
        alone = step.command[0] in ("extract", "generate")
        what = " ".join(step.command[: 1 if alone else 2])
        lines.append(f"  {what:<24} {step.done.parent!s:<48} {step.seconds / 60:6.1f} min")
    if left:
        total = sum(step.seconds for step in left) / 3600
        lines.append(f"to go: about {total:.1f} hours, at {assumption}")
    return "\n".join(lines)


def budget_name(budget: str, budgets: Collection[str], *, toy: bool) -> tuple[str, str]:
    """The budget that is meant, the machine's own without one, and the flag that asks for it.

    Ends with one line where ``budgets`` has none of that name.
    """
    if toy:
        return "toy", "--toy"
    name = budget or ("gpu" if torch.cuda.is_available() else "cpu")
    if name not in budgets:
        refuse(f"--budget {name}: use one of {', '.join(budgets)}")
    return name, f"--budget {name}"
