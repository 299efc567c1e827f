from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import textok.evaluate
from textok.cli.main import main
from textok.config import DataConfig, DecodingOptions


@pytest.mark.parametrize(
    ("rank", "shown", "flag", "networks"),
    [
        ("0", "# table\n\no/report.md\n", "", ()),
        ("1", "", "--feature-network inception", ("inception",)),
        ("1", "", "--feature-networks vgg16 alexnet", ("vgg16", "alexnet")),
    ],
)
def test_words_become_settings_and_the_first_process_prints(
    rank: str,
    shown: str,
    flag: str,
    networks: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Any] = []

    def evaluate(*places: object, **settings: object) -> SimpleNamespace:
        asked.append((places, settings))
        return SimpleNamespace(to_markdown=lambda: "# table\n\n## Protocol\n\n- a")

    monkeypatch.setattr(textok.evaluate, "evaluate_generation", evaluate)
    monkeypatch.setenv("RANK", rank)
    words = (
        "evaluate generation m images --out o --split val --where core=true --captions plain "
        "--num-images 20 --steps 8 --guidance 2.5 --sampler heun --temperature 2 "
        "--decoding-steps 7 --caption-guidance 1.5 --decoder-captions none --seed 3 "
        "--clip c --npz --feature-cache f --device cpu"
    )
    assert main([*words.split(), *flag.split()]) == 0
    assert capsys.readouterr().out == shown
    ((model, data, out), settings) = asked[0]
    assert (model, out) == ("m", Path("o"))
    assert data == DataConfig(path="images", split="val", where="core=true")
    assert settings == {
        "num_images": 20,
        "captions": "plain",
        "sampler": "heun",
        "steps": 8,
        "guidance": 2.5,
        "temperature": 2.0,
        "decoding": DecodingOptions(decoding_steps=7, caption_guidance=1.5),
        "decoder_captions": "none",
        "seed": 3,
        "feature_network": networks,
        "feature_weights": None,
        "clip": "c",
        "npz": True,
        "limit": None,
        "probe_images": 8000,
        "text_cache": None,
        "feature_cache": Path("f"),
        "device": "cpu",
        "batch_size": 32,
    }


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    words = ["evaluate", "generation", str(tmp_path / "empty"), "images", "--out", "o"]

    assert main(words) == 2
    assert capsys.readouterr().err.startswith("textok: error: ")
