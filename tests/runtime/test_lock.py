"""Two processes do not write into one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest

from textok.runtime.lock import LOCK, FolderLock

HOLD = """
import sys, time
from pathlib import Path
from textok.runtime.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
if sys.argv[2] == "fork":
    import os
    if os.fork() == 0:
        time.sleep(30)
time.sleep(30)
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_second_says_who_is_first_and_a_killed_one_leaves_it(tmp_path: Path, how: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), how], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match=f"in use by process {holder.pid} on {gethostname()}"):
        FolderLock(tmp_path)
    holder.kill()
    holder.wait()
    FolderLock(tmp_path).release()  # at once, though a child that was forked lives on


def test_what_is_released_can_be_taken(tmp_path: Path) -> None:
    for _ in range(2):
        lock = FolderLock(tmp_path)
        lock.release()
        lock.release()
    assert (tmp_path / LOCK).read_text().startswith("process ")
