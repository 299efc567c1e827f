from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.resizing import main, measure, pictures_in


def written(folder: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (90, 70 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_table_of_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    main(written(tmp_path, 3), out, images=3, size=16)
    lines = (out / "resizing.md").read_text().splitlines()

    assert lines[2] == "3 pictures, 16 px."
    assert [line.split(" | ")[0].strip("| ") for line in lines[6:]] == [
        "ADM: box halving, then bicubic (`adm_to_square`)",
        "bicubic, antialiased",
        "bilinear, not antialiased",
    ]
    assert lines[-1] in capsys.readouterr().out


def test_aliasing_is_furthest_from_lanczos(tmp_path: Path) -> None:
    adm, smooth, plain = measure(pictures_in(written(tmp_path, 4), 4), 16)

    assert plain.frechet > max(adm.frechet, smooth.frechet) > 0
    assert plain.psnr < min(adm.psnr, smooth.psnr)


def test_too_few_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 2 pictures: 3 are asked for"):
        pictures_in(written(tmp_path, 2), 3)
