"""Tokenizers of photographs trained on a machine without network, given files in pieces.

It needs this tree, the packages that textok needs for training, and the pieces of
studies.photographs.pack, in one call or in several. Once all have arrived it trains and measures
what is not done yet, within the seconds it is given, and writes results after every model.

    python -m studies.photographs.offline PIECES --work WORK --out RESULTS --seconds 300
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tyro.conf import Positional

from studies.command import refuse, run_command
from studies.pairs.commands import tokenizer_steps
from studies.pairs.study import Study, members
from studies.pairs.summary import note_hardware
from studies.photographs.baggage import settle, use_lpips
from studies.photographs.budgets import BUDGETS, study_of
from studies.photographs.pack import PRESET
from studies.photographs.pieces import unpack
from studies.photographs.results import write_results
from studies.steps import plan, run_steps
from textok.cli.main import main as textok
from textok.config import TrainTokenizerConfig
from textok.config.check import require_range
from textok.config.presets import preset_path
from textok.config.read import load_config


class TimeUp(BaseException):
    """The seconds are over; no handler of errors takes it for one."""


@contextmanager
def seconds_from_now(seconds: float) -> Iterator[None]:
    """SIGTERM after so many seconds: a training saves itself and ends, all else raises TimeUp."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeUp

    def alarm(signum: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop), signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGTERM, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)


def train(study: Study, work: Path, out: Path, *, seconds: float) -> bool:
    """Train and measure within ``seconds``; whether all is complete. Results are in ``out``."""
    steps = [step for member in members(study.budget) for step in tokenizer_steps(member, study)]
    print(plan(steps, str(study.budget.speed)), flush=True)
    names = [member.name for member in members(study.budget)]
    ends = time.monotonic() + seconds

    def run(command: Sequence[str]) -> int:
        use_lpips(work, whole=command[0] == "train" or "vgg16" in study.budget.networks)
        code = textok(command)
        if time.monotonic() >= ends:
            raise TimeUp
        return code

    note_hardware(study.runs)
    try:
        with seconds_from_now(max(seconds, 1e-3)):
            run_steps(steps, run=run, after=lambda _: write_results(study.runs, names, out))
    except TimeUp:
        print("out of time: the same call goes on", flush=True)
    write_results(study.runs, names, out)
    return all(step.done.exists() for step in steps)


def main(
    pieces: Positional[Path],
    *,
    work: Path,
    out: Path,
    seconds: float = 300,
    toy: bool = False,
) -> None:
    """Unpack what has arrived; once that is all, train and measure.

    Args:
        pieces: Folder of the pieces.
        work: Folder of data and runs, which a later call goes on with.
        out: Folder of the results, at most 8 files.
        seconds: Stop after this time; a training is saved and continued by the next call.
        toy: Two steps of tiny networks, to see that everything works.
    """
    began = time.monotonic()
    require_range("--seconds", seconds, 0, 1e6)
    try:
        missing = unpack(pieces, work)
    except ValueError as error:
        refuse(str(error))
    if missing:
        print(f"unpacked into {work}; still to come: {', '.join(missing)}")
        return
    settings = json.loads((work / "settings.json").read_text(encoding="utf-8"))
    budget = replace(BUDGETS["toy" if toy else "pieces"], networks=tuple(settings["networks"]))
    study = study_of(budget, work / "data", work / "runs")
    text = load_config(TrainTokenizerConfig, [preset_path(PRESET)]).text
    settle(work, text, cache=study.runs / "text-cache")
    left = seconds - (time.monotonic() - began)
    done = train(study, work, out, seconds=left)
    print(f"results in {out}: {'complete' if done else 'not complete, the same call goes on'}")


if __name__ == "__main__":
    run_command(main, "studies.photographs.offline")
