"""The most main memory that a command takes, with all of its processes.

    python -m benchmarks.peak_memory textok generate "red handbag" --out /tmp/a
    python -m benchmarks.peak_memory --seconds 60 textok demo

Adds up the proportional set size (PSS) of the command and of what it starts, in which a page that
several processes share counts once, three times a second; Linux alone tells it. A command that does
not end by itself is interrupted after ``--seconds``.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from studies.command import refusing

EVERY = 0.3
"""Seconds."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peak_memory", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if not given.command:
        parser.error("name the command that is to be measured")
    with refusing("peak_memory"):
        process = subprocess.Popen(given.command)
    start, peak, most = time.monotonic(), 0, 0
    while process.poll() is None:
        found = [pss(pid) for pid in family(process.pid)]
        if sum(found) > peak:
            peak, most = sum(found), len(found)
        if time.monotonic() - start > given.seconds:
            process.send_signal(signal.SIGINT)
            given.seconds = float("inf")
        time.sleep(EVERY)
    print(f"peak {peak / 2**20:,.0f} MiB in {most} processes: {' '.join(given.command)}")
    return process.returncode


def family(root: int) -> list[int]:
    """The process ``root`` and all below it."""
    found = [root]
    for pid in found:
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            found += [int(c) for task in tasks for c in (task / "children").read_text().split()]
        except OSError:  # it has ended meanwhile
            continue
    return found


def pss(pid: int) -> int:
    """Bytes; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
