"""Costs along the axes: what is counted, the growth and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isqrt
from pathlib import Path

import pytest

import benchmarks.growth as growth
from benchmarks.costs import count_tokenizer
from benchmarks.growth import Settings, Size, main
from benchmarks.growth_report import Point, exponents, write_report
from textok.config import ViTConfig


def counted(**sizes: int) -> float:
    middle = Size(tokens=32, patches=64, text=32, batch=4, resolution=64, processes=1)
    size = replace(middle, **sizes)
    size = replace(size, resolution=sizes.get("resolution", 8 * isqrt(size.patches)))
    config = size.config(ViTConfig(width=16, depth=2, heads=2))
    return count_tokenizer(config).flops


def test_long_sequences_cost_quadratically() -> None:
    for axis in ("tokens", "patches", "text"):
        few, many = counted(**{axis: 2**16}), counted(**{axis: 2**18})
        assert 15 < many / few < 16.5
    assert counted(batch=8) == counted(batch=4)
    # The layers of patches alone grow with the pixels.
    width, pixels = 16, 3 * (128**2 - 64**2)
    more = counted(resolution=128) - counted(resolution=64)
    assert more == pytest.approx(2 * 3 * 2 * width * pixels, rel=0.2)


def test_growth_is_the_exponent() -> None:
    points = [
        Point(axis="batch", value=value, ms=3 * value**1.5, flops=1, kept=1) for value in (2, 4, 16)
    ]
    assert exponents(points) == pytest.approx([1.5, 1.5])


def test_the_roof_is_time_at_the_rate(tmp_path: Path) -> None:
    points = [
        Point(axis=axis, value=value, ms=4.0 * value, flops=2e6 * value, kept=1e6)
        for axis in ("tokens", "patches", "resolution", "text", "batch")
        for value in (1, 4)
    ]
    points.append(Point(axis="processes", value=2, ms=4.0, flops=2e6, kept=1e6, processes=2))
    write_report(points, 1e9, [], tmp_path)
    page = (tmp_path / "growth.md").read_text()
    # 2 MFLOP at 1 GFLOP/s are 2 ms.
    assert "| batch B | 1 | 4 | 0.002 | 1 | 2.00 |  |" in page
    assert "| batch B | 4 | 16 | 0.008 | 1 | 2.00 | 1.00 |" in page
    # Two processes could take half the time.
    assert "| processes | 2 | 4 | 0.002 | 1 | 4.00 |  |" in page
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_whole_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "matmul_rate", lambda: 1e9)
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    small = (
        "--tokens 2 4 --sides 1 2 --resolution 8 16 --text 2 4 --batch 1 2 --processes 1 2 "
        "--width 16 --depth 1 --repeats 1"
    )
    main([*small.split(), "--out", str(tmp_path)])
    report = json.loads((tmp_path / "growth.json").read_text())
    assert len(report["points"]) == 12 and report["flops_a_second"] == 1e9
    assert all(point["ms"] > 0 for point in report["points"])


def test_bad_settings_are_one_line() -> None:
    with pytest.raises(ValueError, match="tokens"):
        Settings(tokens=())
    with pytest.raises(ValueError, match="resolution 20: multiples of 8"):
        Settings(resolution=(64, 20))
