"""The memory of a command and of what it starts."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks.peak_memory import main

PARENT = """
import subprocess, sys
held = b"x" * 50 * 2**20
subprocess.run([sys.executable, "-c", "import time; held = b'x' * 60 * 2**20; time.sleep(1)"])
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it")
def test_children_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["peak_memory", sys.executable, "-c", PARENT])
    assert main() == 0
    found = re.match(r"peak (\d+) MiB in 2 processes", capsys.readouterr().out)
    assert found is not None
    assert 110 <= int(found[1]) < 200


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: name the command that is to be measured\n"),
        (["no-such-program"], "peak_memory: error: no-such-program: No such file or directory\n"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["peak_memory", *words])
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    assert capsys.readouterr().err.endswith(message)
