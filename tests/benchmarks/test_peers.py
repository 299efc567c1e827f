"""Tokenizers beside each other, at toy size and without a checkout of 1d-tokenizer."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.peers_sides as sides
from benchmarks.peers import main
from benchmarks.peers_report import Report, Row
from benchmarks.peers_sides import compare, ours, read_titok
from textok.config import CodebookConfig, TokenizerConfig, ViTConfig, VQGANConfig
from textok.runtime.device import has_bf16
from textok.tokenizer import Tokenizer

VIT = ViTConfig(width=16, depth=2, heads=2)
TOY = TokenizerConfig(
    image_size=256,
    patch_size=16,
    num_tokens=4,
    channels=3,
    text="none",
    encoder=VIT,
    decoder=VIT,
    bottleneck="vq",
    layout="titok",
    codebook=CodebookConfig(size=8),
    output="codes",
    vqgan=VQGANConfig(
        image_size=256,
        width=4,
        multipliers=(1, 1, 1, 1, 1),
        res_blocks=1,
        codebook_size=6,
        codebook_channels=4,
    ),
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diffusers")
    full = sides.dc_ae

    def dc_ae(attending: int, channels: int) -> dict[str, Any]:
        settings = full(attending, channels)
        for name, value in settings.items():
            if name.endswith("out_channels"):
                settings[name] = (32,) * (len(value) - 1) + (max(32, channels),)
            if name.endswith("layers_per_block"):
                settings[name] = tuple(min(1, layers) for layers in value)
        return settings

    monkeypatch.setattr(sides, "dc_ae", dc_ae)
    monkeypatch.setattr(sides, "VAE_CHANNELS", (32, 32, 32, 32, 32))
    monkeypatch.setattr(sides, "read_titok", lambda name: TOY)


def test_every_model_is_measured_and_the_same_command_goes_on(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--batch", "1", "--turns", "2", "--out", str(tmp_path)]
    main([*words, "--models", "TiTok-S-128"])
    said = capsys.readouterr().out
    assert "1d-tokenizer: left out, give --one-d-tokenizer its checkout\n" in said
    main([*words, "--models", "TiTok-S-128", "SD-VAE", "DC-AE f32c32", "DC-AE f64c128"])
    said = capsys.readouterr().out
    precisions = 2 if has_bf16("cpu") else 1
    assert said.count("bf16: left out, it is slow on this CPU") == 2 - precisions
    assert "TiTok-S-128, fp32, batch 1: already measured" in said and "SD-VAE | diffusers" in said
    saved = json.loads((tmp_path / "peers.json").read_text())["rows"]
    cases = [(row["model"], row["precision"], row["task"]) for row in saved]
    assert len(cases) == len(set(cases)) == 4 * precisions * 2
    assert all(len(row["cpu"]) == len(row["wall"]) == 2 and not row["peer_cpu"] for row in saved)
    table = (tmp_path / "peers.md").read_text()
    assert table.count("\n| DC-AE f64c128 | diffusers |") == 2 * precisions


def test_the_report_compares_within_a_turn_and_stays_with_its_machine(tmp_path: Path) -> None:
    cpu, peer = [2.0, 2.0, 8.0], [4.0, 6.0, 8.0]
    row = Row(
        model="TiTok-S-128",
        side="textok",
        task="decode",
        precision="fp32",
        batch=4,
        cpu=cpu,
        wall=[4.0] * 3,
        peer_cpu=peer,
        peer_wall=peer,
    )
    Report(tmp_path, ["--batch", "4"]).add([row], {"TiTok-S-128": "all the same"})
    text = (tmp_path / "peers.md").read_text()
    line = "| textok | decode | fp32 | 4 | 0.5 | 2.00 (1.50 to 2.50) | 1 | 1.50 (1.25 to 1.75) |"
    assert line in text and "before anything was timed: all the same." in text
    again = Report(tmp_path, [])
    assert again.rows == [row] and again.has("TiTok-S-128", "fp32", 4)
    assert not again.has("TiTok-S-128", "fp32", 1)
    path = tmp_path / "peers.json"
    path.write_text(path.read_text().replace('"torch": "', '"torch": "1'))
    with pytest.raises(ValueError, match="measured elsewhere"):
        Report(tmp_path, [])


def test_other_weights_are_not_timed() -> None:
    torch.manual_seed(0)
    one = Tokenizer(TOY).eval()
    other = copy.deepcopy(one)
    assert compare(ours(one), ours(other)).startswith("100.0 % of codes equal, pixels in [0, 1] 0")
    with torch.no_grad():
        assert other.vqgan_decoder is not None
        other.vqgan_decoder.decoder.conv_out.bias.add_(0.01)
    with pytest.raises(ValueError, match=r"not the same model: 100\.0 % of codes equal"):
        compare(ours(one), ours(other))


@pytest.mark.parametrize(
    ("name", "width", "tokens"),
    [("TiTok-S-128", 512, 128), ("TiTok-B-64", 768, 64), ("TiTok-L-32", 1024, 32)],
)
def test_the_presets_are_the_published_sizes(name: str, width: int, tokens: int) -> None:
    config = read_titok(name)
    assert (config.encoder.width, config.decoder.width, config.num_tokens) == (width, width, tokens)
    assert (config.image_size, config.layout, config.output) == (256, "titok", "codes")
    assert (config.codebook.size, config.channels, config.codebook.l2_norm) == (4096, 12, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--one-d-tokenizer", "nowhere"], "no checkout of bytedance/1d-tokenizer"),
        (["--models", "TiTok-XL"], "models: 'TiTok-XL' is none of TiTok-S-128, "),
        (["--batch", "0"], "batch is 0"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, ValueError)) as stopped:
        main([*words, "--out", str(tmp_path / "out")])
    assert message in str(stopped.value) + capsys.readouterr().err
    assert not (tmp_path / "out").exists()
