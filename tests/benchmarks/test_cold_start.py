from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.cold_start import BASE, Run, rows, run


def test_ratios_are_of_the_same_turn_and_checkout() -> None:
    found = {
        (BASE, "this"): [Run(wall=3, cpu=2), Run(wall=5, cpu=4), Run(wall=4, cpu=2)],
        ("textok generate", "this"): [Run(wall=4, cpu=3), Run(wall=9, cpu=4), Run(wall=8, cpu=4)],
        (BASE, "other"): [Run(wall=1, cpu=1)] * 3,
        ("textok generate", "other"): [Run(wall=7, cpu=6)] * 3,
    }
    assert list(rows(found)) == [
        ["`import torch`", "this", "4.00", "2.00", "1.00"],
        ["`textok generate`", "this", "8.00", "4.00", "1.50"],
        ["`import torch`", "other", "1.00", "1.00", "1.00"],
        ["`textok generate`", "other", "7.00", "6.00", "6.00"],
    ]


def test_a_process_has_textok_from_its_checkout(tmp_path: Path) -> None:
    (tmp_path / "textok").mkdir()
    (tmp_path / "textok" / "__init__.py").write_text("open('here', 'w').close()")
    done = run(("-c", "import textok; sum(range(10**6))"), checkout=tmp_path, folder=tmp_path)
    assert (tmp_path / "here").exists() and done.cpu > 0 and done.wall > 0
    with pytest.raises(subprocess.CalledProcessError):
        run(("-c", "raise SystemExit(2)"), checkout=tmp_path, folder=tmp_path)
