"""What a run of captioning came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from textok.caption.answer import SERVER_FAULTS
from textok.caption.store import Line


@dataclass(kw_only=True)
class Summary:
    """Counts of one run; ``lines`` says them."""

    path: Path
    """Where the results are."""
    images: int
    """Of the data set, or of this shard of it."""
    missing: int
    """Images that the data set names and does not have."""
    before: int
    """Images that earlier runs had requested."""
    captioned: int = 0
    """Images that lack no caption now and did before this run."""
    failed: int = 0
    """Images requested in this run that lack a caption still."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Failed captions by kind."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    """Of all runs into the folder; None without prices."""
    old_failures: int = 0
    """Images that failed in earlier runs and were not requested again."""
    stopped: str = ""
    """Why there are images left."""

    signum: int = 0
    """Number of the signal that ended the run, 0 for none."""
    in_a_row: int = 0
    """Images to which the server gave no answer, since the last that it answered."""
    last_failure: str = ""

    def add(self, line: Line) -> None:
        """Count one image."""
        self.captioned += not line.failures
        self.failed += bool(line.failures)
        self.kinds.update(failure.kind for failure in line.failures)
        self.tokens_in += line.tokens_in
        self.tokens_out += line.tokens_out
        if any(failure.kind == "bad image" for failure in line.failures):
            return
        silent = bool(line.failures) and all(f.kind in SERVER_FAULTS for f in line.failures)
        self.in_a_row = self.in_a_row + 1 if silent and not line.captions else 0
        if silent:
            self.last_failure = f"{line.failures[-1].kind}: {line.failures[-1].reason}"

    def lines(self) -> list[str]:
        """For people, the file last."""
        left = self.images - self.before - self.captioned - self.failed
        cost = "" if self.cost is None else f"; {self.cost:.2f} spent so far"
        said = [
            f"{self.images} images: {self.captioned} captioned now, {self.before} asked for before,"
            f" {left} left; {self.tokens_in} tokens in, {self.tokens_out} out{cost}"
        ]
        if self.kinds:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
            said.append(
                f"{self.failed} images failed ({kinds}): the reasons are in {self.path}; "
                "--retry-failed asks again"
            )
        if self.old_failures:
            said.append(f"{self.old_failures} images failed before: --retry-failed asks again")
        if self.missing:
            said.append(f"{self.missing} images are named in the data and not there")
        if self.signum:
            said.append("interrupted; the same command goes on")
        elif self.stopped:
            said.append(f"stopped: {self.stopped}; the same command goes on")
        return [*said, str(self.path)]
