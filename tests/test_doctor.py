"""What a machine has, and what it lacks and how to get it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from textok.cli import doctor
from textok.cli.main import main
from textok.nn.lpips import WEIGHTS_VARIABLE


def test_everything_that_textok_needs_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "needed" in said and "bundled model: products (" in said and "free disk" in said
    assert said.count("MB") == 2  # a tokenizer and a generator
    for extra in doctor.USES:
        assert f"\n{extra or 'needed'} " in said


def test_whether_the_weights_of_lpips_are_here(
    lpips_file: Path,
    no_lpips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"cut")
    for file, said in (
        (no_lpips, f"LPIPS weights: none at {no_lpips}: textok convert lpips"),
        (lpips_file, f"LPIPS weights: {lpips_file} (68.8 MB)"),
        (damaged, f"LPIPS weights: {damaged}: damaged"),
    ):
        monkeypatch.setenv(WEIGHTS_VARIABLE, str(file))
        assert main(["doctor"]) == 0
        assert said in capsys.readouterr().out


def test_a_missing_part_has_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == "torchmetrics":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "accelerate" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    assert doctor.missing_of("eval") == ["torchmetrics>=1.4"]
    assert doctor.missing_of("train") == ["accelerate>=1"]
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "missing torchmetrics>=1.4: pip install 'textok[eval]'" in said


def test_a_part_that_textok_cannot_do_without_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "missing_of", lambda extra: [] if extra else ["einops>=0.8"])
    assert main(["doctor"]) == 2
    error = capsys.readouterr().err
    assert error == "textok: error: textok lacks einops>=0.8: pip install textok\n"


def test_every_extra_that_a_command_uses_is_explained() -> None:
    declared = importlib.metadata.metadata("textok").get_all("Provides-Extra") or []
    assert set(declared) - set(doctor.USES) == {"all", "dev"}
