"""The report on exports: what it measures and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from benchmarks import onnx_speed
from benchmarks.onnx_speed import PEER, Row, main


def test_a_folder_without_an_export_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["products", "--exports", str(tmp_path)])
    assert "no export; run `textok export onnx` first\n" in capsys.readouterr().err


def test_the_report(tmp_path: Path) -> None:
    (tmp_path / "int8").mkdir()
    about = {
        "weights": "int8",
        "graphs": {"decoder": {"bytes": 2_500_000}},
        "differences": [
            {"name": "decoder", "largest": 0.012, "psnr": 41.26},
            {"name": "images from noise", "largest": 0.5, "psnr": None},
        ],
    }
    (tmp_path / "int8" / "manifest.json").write_text(json.dumps(about))
    clients = {"int8": onnx_speed.Client(tmp_path / "int8")}
    peer = [0.002, 0.004, 0.002]
    rows = [
        Row(graph="decoder", batch=1, side=PEER, seconds=peer, peer=peer),
        Row(graph="decoder", batch=1, side="int8", seconds=[0.001] * 3, peer=peer),
    ]
    onnx_speed.write_report(rows, clients, ["--batch", "1"], tmp_path / "out")
    text = (tmp_path / "out" / "onnx.md").read_text()
    assert "| decoder | 2.50 | 1.2e-02 | 41.3 |" in text
    assert "| images from noise |  | 5.0e-01 |  |" in text
    assert "| decoder | 1 | int8 | 1.00 | 2.00 (2.00 to 3.00) |" in text
    assert json.loads((tmp_path / "out" / "onnx.json").read_text())["bytes"]["int8"] == {
        "decoder": 2_500_000
    }
