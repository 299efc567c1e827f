"""What cannot be exported is one line, and leaves everything as it was."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline.conftest import tiny, tiny_codes
from textok.cli.main import main
from textok.config import DecodingConfig
from textok.export import build, write
from textok.export.manifest import UNSTATED, licence_of
from textok.pipeline import save_pipeline
from textok.tokenizer import Tokenizer


@pytest.fixture(autouse=True)
def _has_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "require_packages", lambda: None)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["export", "onnx", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_maskgit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_pipeline(tmp_path / "model", tiny_codes("class"))
    error = refused([str(model), str(tmp_path / "out")], capsys)
    assert "is a MaskGIT, which cannot be exported" in error and str(model / "tokenizer") in error
    assert not (tmp_path / "out").exists()


def test_a_decoder_that_samples_in_many_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tiny("text").text
    for name, sampling, passes in (
        ("many", DecodingConfig(steps=33), 33),
        ("heun", DecodingConfig(steps=17, sampler="heun"), 33),
        ("guided", DecodingConfig(steps=16, token_guidance=2.0, caption_guidance=2.0), 48),
    ):
        config = replace(tiny("text").tokenizer.config, decoding="flow", sampling=sampling)
        Tokenizer(config, text=text).save_pretrained(tmp_path / name)
        error = refused([str(tmp_path / name), str(tmp_path / "out")], capsys)
        assert f"its decoder takes {passes} passes (sampled by" in error
        assert "choose fewer with --decoding.steps, or distil it" in error
    error = refused(
        [
            str(save_pipeline(tmp_path / "a", tiny("text"))),
            str(tmp_path / "out"),
            "--decoding.steps",
            "2",
        ],
        capsys,
    )
    assert "decoding.steps" in error  # a decoder that does not sample


def test_samplers_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_pipeline(tmp_path / "model", tiny("class"))
    error = refused([str(model), str(tmp_path / "out"), "--sampler", "sde"], capsys)
    assert "choose --sampler euler or heun or ddim or dpmpp" in error
    error = refused([str(model), str(tmp_path / "out"), "--guide", "weaker"], capsys)
    assert "guidance by another generator (weaker) is not exported" in error
    words = [str(model / "tokenizer"), str(tmp_path / "out"), "--steps", "4"]
    assert "has no generator to sample from: leave out steps" in refused(words, capsys)
    words = [str(model), str(tmp_path / "out"), "--tolerance", "0"]
    assert "tolerance is 0" in refused(words, capsys)


def test_other_peoples_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_pipeline(tmp_path / "model", tiny("class"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    error = refused([str(model), str(tmp_path / "mine")], capsys)
    assert "holds other files (thesis.txt)" in error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    error = refused(["no-such-model", str(tmp_path / "out")], capsys)
    assert "no-such-model: no such folder" in error


def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "require_packages", write.require_packages)
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there(name)
    )
    error = refused(["products", str(tmp_path / "out")], capsys)
    assert "pip install 'textok[onnx]'" in error and "onnxruntime" in error


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: []\n---\n# Model\n", "apache-2.0"),
        ("# Model\n\n## Licence\n\nUnder MIT,\nas ever.\n\nMore.\n", "Under MIT, as ever."),
        ("# Model\n\n## License\nMIT\n## Next\n", "MIT"),
        ("# Model\n", UNSTATED),
    ],
)
def test_the_licence_is_the_cards(card: str, licence: str, tmp_path: Path) -> None:
    assert licence_of(tmp_path) == UNSTATED
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path) == licence
