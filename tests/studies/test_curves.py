"""Training curves are drawn from run folders alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from studies.curves import WINDOW, _smooth, draw_curves
from textok.config import TrainTokenizerConfig
from textok.config.presets import preset_path
from textok.config.read import load_config, to_yaml


def test_smoothing_is_a_running_mean_of_both_columns() -> None:
    points = np.stack([np.arange(10.0), np.arange(10.0) ** 2], axis=1)
    smooth = _smooth(points)
    assert smooth.shape == (10 - WINDOW + 1, 2)
    np.testing.assert_allclose(smooth[0], [3.5, 17.5])  # 0..7 and 0, 1, 4 .. 49


def test_one_panel_a_token_count(tmp_path: Path) -> None:
    runs = []
    for tokens in (2, 4):
        for text in ("none", "both"):
            overrides = {"tokenizer": {"num_tokens": tokens, "text": text}}
            config = load_config(TrainTokenizerConfig, [preset_path("study-64")], overrides)
            runs.append(tmp_path / f"k{tokens}-{text}")
            runs[-1].mkdir()
            (runs[-1] / "config.yaml").write_text(to_yaml(config))
            lines = [json.dumps({"step": 20 * n, "l2": 1 / n}) for n in range(1, 20)]
            (runs[-1] / "log.jsonl").write_text("\n".join(lines) + "\n")
    draw_curves(runs, tmp_path / "two.png")
    draw_curves(runs[:2], tmp_path / "one.png")
    two, one = (Image.open(tmp_path / name).size for name in ("two.png", "one.png"))
    assert two == (2 * one[0], one[1])
