"""The command line of such a study: the same call goes on where it was cut off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from studies.command import refuse
from studies.flow_pair.page import write_results
from studies.flow_pair.steps import Pair, Place, every_step, export_step
from studies.pairs.job import is_named, require_splits
from studies.pairs.study import SPLIT
from studies.pairs.summary import note_hardware
from studies.steps import plan, run_steps
from studies.subset import write_splits


@dataclass(frozen=True, kw_only=True)
class PairArguments:
    """Train and measure what is not done yet; the same command goes on."""

    data: Path
    """Captioned images in train, val and test."""
    runs: Path
    """Folder of the runs."""
    out: Path
    """Folder of the results."""
    steps: int
    """Of each training; 2 shows that everything works, and its numbers mean nothing."""
    limit: int = 500
    """Test images."""
    minutes: float = 0
    """Begin no step after this many minutes; 0 goes on to the end."""
    only: str = ""
    """Take only steps whose folder matches, as in 'none' or '*class*'."""

    @property
    def place(self) -> Place:
        return Place(data=self.data, runs=self.runs, steps=self.steps, limit=self.limit)


def run_pair(pair: Pair, arguments: PairArguments) -> None:
    """Run the study of ``pair`` that ``arguments`` describe."""
    place = arguments.place
    require_splits(place.data, how=pair.how)
    if place.steps < 1 or place.limit < 2:
        refuse("--steps must be at least 1, and --limit at least 2")
    if pair.where:
        own = place.runs / "data"
        run_steps([export_step(pair, place.data, own)])
        place = replace(place, data=own)
    steps = every_step(pair, place)
    if arguments.only:
        steps = [step for step in steps if is_named(step, place.runs, arguments.only)]
    if not steps:
        refuse(f"--only {arguments.only}: no step is called so")
    write_splits(place.data, place.runs / "judged", {"train": pair.compared, SPLIT: place.limit})
    speed = f"{pair.training:g} images/s in training, {pair.measuring:g} in measuring"
    print(plan(steps, speed), flush=True)
    if any(not step.done.exists() for step in steps):
        note_hardware(place.runs)

    def write() -> None:
        write_results(pair, place, arguments.out)

    run_steps(steps, minutes=arguments.minutes, after=lambda _: write())
    write()
