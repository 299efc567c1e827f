"""What every study is told on its command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class StudyArguments:
    """Where a study reads and writes, and how much of it is done."""

    data: Path
    """Data set with train, val and test."""
    runs: Path
    """Folder of the runs."""
    out: Path
    """Folder of the results."""
    budget: str = ""
    """cpu or gpu; without it whichever there is."""
    toy: bool = False
    """Two steps of tiny networks, to see that everything works; numbers mean nothing."""
    minutes: float = 0
    """Begin no step after this many minutes; 0 goes on to the end."""
    only: str = ""
    """Take only steps whose folder matches, as in '*none*' or 'k4-*'."""
