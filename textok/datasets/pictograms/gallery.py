"""Draw all images into a folder, continuing where an earlier run stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.datasets.pictograms.render import Job, Measurement, render
from textok.datasets.pictograms.sources import Drawing
from textok.datasets.workers import run_jobs
from textok.runtime.counter import counter

SECONDS_EACH = 30.0
FAILURES_IN_A_ROW = 50


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What was measured of each drawn image, and why others failed, by key."""

    measurements: Mapping[str, Measurement]
    failures: Mapping[str, str]


def draw_all(
    drawings: Sequence[Drawing],
    *,
    files: Mapping[str, Path],
    log: Path,
    size: int,
    workers: int,
    progress: bool,
) -> Gallery:
    """Draw what is not drawn yet and return all measurements.

    An image is drawn when it has a line in ``log`` and its file in ``files`` exists.

    Raises:
        ValueError: many images in a row failed, so that something is wrong with the machine.
    """
    known = _read_log(log)
    done = {d.key: known[d.key] for d in drawings if d.key in known and files[d.key].is_file()}
    jobs = [
        Job(drawing=drawing, path=files[drawing.key], size=size)
        for drawing in drawings
        if drawing.key not in done
    ]
    for folder in {job.path.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    in_a_row = 0
    bar = counter("drawing", total=len(drawings), done=len(done), shown=progress)
    with log.open("a") as lines, bar as count:
        for outcome in run_jobs(render, jobs, workers=workers, seconds_each=SECONDS_EACH):
            key = outcome.job.drawing.key
            if outcome.result is None:
                failures[key] = outcome.failure
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    raise ValueError(
                        f"the last {in_a_row} images could not be drawn"
                        f" ({key}: {outcome.failure}); run the command again to continue"
                    )
            else:
                in_a_row = 0
                done[key] = outcome.result
                lines.write(json.dumps(asdict(outcome.result)) + "\n")
                lines.flush()
            count(1)
    return Gallery(
        measurements={key: done[key] for key in sorted(done)},
        failures={key: failures[key] for key in sorted(failures)},
    )


def _read_log(log: Path) -> dict[str, Measurement]:
    if not log.is_file():
        return {}
    text = log.read_text()
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        log.write_text(complete)  # an interrupted run left half a line
    rows = [json.loads(line) for line in complete.splitlines()]
    return {row["key"]: Measurement(**(row | {"colours": tuple(row["colours"])})) for row in rows}
