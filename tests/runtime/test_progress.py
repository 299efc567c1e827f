from __future__ import annotations

import re

import pytest

from textok.runtime.progress import RunProgress


def test_without_a_terminal_each_report_is_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress(first=5, steps=20, images_per_step=4)
    progress.start()
    for _ in range(5):
        progress.advance()
    rate = progress.report(10, {"loss": 0.25})
    progress.stop()
    assert rate > 0
    line = capfd.readouterr().err
    assert re.fullmatch(r"step 10/20  loss 0\.2500  [\d.]+ images/s  \d+:\d\d:\d\d left\n", line)
