from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import textok.evaluate
from textok.cli.main import main
from textok.config import DecodingOptions
from textok.config.evaluation import EvaluateGenerationConfig, HeldOutDataConfig
from textok.config.generator import SamplingOptions


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
    asked: list[EvaluateGenerationConfig] = []

    def evaluate(config: EvaluateGenerationConfig) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(to_markdown=lambda: "# table\n\n## Protocol\n\n- a")

    monkeypatch.setattr(textok.evaluate, "evaluate_generation", evaluate)
    monkeypatch.setenv("RANK", rank)
    words = (
        "evaluate generation m images --out o --split val --where core=true --caption-mode plain "
        "--num-images 20 --steps 8 --guidance 2.5 --sampler heun --time-shift 1.5 --temperature 2 "
        "--decoding-steps 7 --caption-guidance 1.5 --decoder-captions none --seed 3 "
        "--compile graph --clip c --npz --feature-cache f --device cpu"
    )
    assert main([*words.split(), *flag.split()]) == 0
    assert capsys.readouterr().out == shown
    assert asked == [
        EvaluateGenerationConfig(
            model="m",
            data=HeldOutDataConfig(path="images", split="val", where="core=true"),
            out=Path("o"),
            num_images=20,
            caption_mode="plain",
            sampling=SamplingOptions(
                sampler="heun", steps=8, guidance=2.5, time_shift=1.5, temperature=2.0
            ),
            decoding=DecodingOptions(steps=7, caption_guidance=1.5),
            decoder_captions="none",
            seed=3,
            compile="graph",
            feature_network=networks,
            clip="c",
            npz=True,
            feature_cache=Path("f"),
            device="cpu",
        )
    ]


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    words = ["evaluate", "generation", str(tmp_path / "empty"), "images", "--out", "o"]

    assert main(words) == 2
    assert capsys.readouterr().err.startswith("textok: error: ")
