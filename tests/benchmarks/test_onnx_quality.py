"""What exports lose, end to end: the numbers' sources, on the bundled model and a few images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("onnxruntime")

from benchmarks import onnx_quality
from benchmarks.onnx_quality import AGAIN, PEER, Row, Side, drawn, main, measure, write_report
from textok.metrics.feature_network import FeatureNetwork


def picture(seed: int) -> Tensor:
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def side(shift: float) -> Side:
    return Side(
        draw=lambda captions, seeds: torch.stack([picture(seed) for seed in seeds]) + shift,
        reconstruct=lambda images, captions: images + shift,
    )


def test_drawn_images_are_rounded_and_have_seeds_of_their_own() -> None:
    images = drawn(side(0), ["one"] * 12, first=5)
    expected = torch.stack([picture(seed) for seed in range(5, 17)])
    assert (images - expected).abs().max() <= 0.5 / 127.5 + 1e-6
    steps = (images + 1) * 127.5
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FeatureNetwork(
        name="mean", metric="FD", width=3, protocol="", extract=lambda x: x.mean((2, 3))
    )
    monkeypatch.setattr(onnx_quality, "load_feature_network", lambda name: network)
    images = torch.stack([picture(seed) for seed in range(12)])
    rows = measure({PEER: side(0), "int8": side(0.2)}, images, ["one"] * 12, turns=2)
    own, other, again = rows
    assert [row.side for row in rows] == [PEER, "int8", AGAIN]
    # The same images but for rounding: features all moved by 0.2 are 3 x 0.04 away, less what is
    # clamped.
    assert own.frechet < 1e-4 and 0.05 < other.frechet < 0.12 and again.frechet > 1e-4
    assert own.drawn_psnr is None and other.drawn_psnr is not None
    assert own.psnr is not None and own.psnr > 60
    assert other.psnr == pytest.approx(20, abs=1e-3)  # 10 log10(4 / 0.04): 0.2 away everywhere
    assert own.drawing == (1.0, 1.0, 1.0) and other.seconds is not None


def test_the_report(tmp_path: Path) -> None:
    times: dict[str, Any] = {"drawing": (2.0, 1.0, 3.0), "reconstructing": (1.5, 1.5, 1.5)}
    rows = [
        Row(side="int8", frechet=10.125, drawn_psnr=41.0, psnr=22.5, seconds=(0.5, 0.25), **times),
        Row(side=AGAIN, frechet=9.0),
    ]
    write_report(rows, 500, ["products"], tmp_path)
    text = (tmp_path / "quality.md").read_text()
    line = "| int8 | 10.12 | 41.00 | 22.50 | 500.0 | 2.00 (1.00 to 3.00) | 250.0 | 1.50 "
    assert line in text and f"| {AGAIN} | 9.00 |" in text and "500 images of the test split" in text
    assert json.loads((tmp_path / "quality.json").read_text())["rows"][0]["frechet"] == 10.125


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        (("some",), "some: no export; run `textok export onnx` first\n"),
        (("a/int8", "b/int8"), "exports: int8, int8: rows are called by the folders"),
        (("torch",), "exports: torch: rows are called by the folders"),
    ],
)
def test_exports_that_cannot_be_measured_are_one_line(
    exports: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [str(tmp_path / name) for name in exports]
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["products", "--data", str(tmp_path), "--exports", *folders])
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
