"""Every part is timed, and the totals are what the parts add up to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import benchmarks.parts as parts
import benchmarks.sampling_sides as sides
from benchmarks.parts import main
from benchmarks.parts_report import Part, write_report

VIT = "{width: 16, depth: 1, heads: 2}"


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for module in ("sampling", "training", "parts"):
        monkeypatch.setattr(f"benchmarks.{module}.CLASSES", 10)
    monkeypatch.setattr(sides, "VAE_CHANNELS", (32, 32, 32, 32))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: None)
    tokenizer, generator = tmp_path / "tokenizer.yaml", tmp_path / "generator.yaml"
    tokenizer.write_text(
        "tokenizer: {image_size: 16, patch_size: 8, num_tokens: 4, channels: 3, text_width: 8, "
        f"text_tokens: 5, encoder: {VIT}, decoder: {VIT}}}\ntext: {{max_tokens: 5}}\n"
        "loss: {perceptual: 0, gan: {weight: 0.1, start: 9, base: 8}}\n"
    )
    generator.write_text(
        f"generator: {{network: {VIT}, condition: class, objective: {{name: ddpm}}}}\n"
        "sampling: {sampler: ddpm}\n"
    )
    sizes = "--generator-batch 2 --tokenizer-batch 2 --repeats 1 --batch 1 2 --tokens 4".split()
    models = ["--tokenizer", str(tokenizer), "--decoder", str(tokenizer)]
    return [*sizes, *models, "--generator", str(generator), "--out", str(tmp_path / "out")]


def timed(folder: Path) -> dict[tuple[str, str, int], float]:
    found = json.loads((folder / "out" / "parts.json").read_text())["parts"]
    return {(one["part"], one["way"], one["images"]): one["ms"] for one in found}


def test_a_training_step_and_all_that_it_is_made_of(arguments: list[str], tmp_path: Path) -> None:
    main([*arguments, "--sections", "generator", "tokenizer"])
    assert all(ms > 0 for ms in timed(tmp_path).values())
    assert {key[:2] for key in timed(tmp_path)} == {
        ("generator, training step", "eager"),
        ("generator, training step", "compiled"),
        ("generator, optimiser and average", "eager"),
        ("tokenizer, training step", "eager"),
        ("tokenizer, forward and backward", "eager"),
        ("tokenizer, adversarial loss", "eager"),
        ("tokenizer, discriminator's step", "eager"),
    }
    assert "A picture" not in (tmp_path / "out" / "parts.md").read_text()


def test_both_sides_draw_in_every_batch(arguments: list[str], tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    main([*arguments, "--sections", "drawing"])
    found = timed(tmp_path)
    for part in ("DiT-XL/2 step", "TexTok step"):
        assert {key[1:] for key in found if key[0] == part} == {
            *(("eager", 1), ("eager", 2), ("compiled", 1), ("compiled", 2))
        }


def test_totals_are_sums_of_the_parts(tmp_path: Path) -> None:
    given = {
        ("DiT-XL/2 step", "eager"): 8.0,
        ("DiT-XL/2 step", "compiled"): 4.0,
        ("SD-VAE decoding", "eager"): 20.0,
        ("TexTok step", "eager"): 9.0,
        ("TexTok step", "compiled"): 1.0,
        ("TexTok, prepare 16 steps", "eager"): 1.0,
        ("TexTok decoding", "eager"): 5.0,
        ("TexTok decoding", "recorded"): 3.0,
    }
    rows = [
        Part(part=part, way=way, images=2, ms=ms, first_s=0) for (part, way), ms in given.items()
    ]
    write_report(rows, [], tmp_path)
    last = (tmp_path / "parts.md").read_text().strip().splitlines()[-1]
    assert [float(cell) for cell in last.strip("| ").split("|")] == [
        *(2, 254 / 2, 20 / 2),
        *(2020 / 2, round(2020 / 254, 1), 2020 / 20),
        *(1020 / 2, round(1020 / 254, 1), 1020 / 20),
    ]


def test_bad_settings_are_one_line(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="repeats"):
        parts.Settings(repeats=0)
