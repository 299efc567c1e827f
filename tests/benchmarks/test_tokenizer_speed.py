"""The benchmark's peer is the same model, and its report says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.plain_vit import PlainTokenizer
from benchmarks.speed_report import Row, Variant, write_report
from benchmarks.tokenizer_speed import VARIANTS, Case, draw_inputs, prepare
from textok.config import TokenizerConfig, ViTConfig
from textok.tokenizer import Tokenizer

SMALL = ViTConfig(width=16, depth=2, heads=2)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=4,
    channels=3,
    text_width=10,
    text_tokens=5,
    encoder=SMALL,
    decoder=SMALL,
)


def case(task: str) -> Case:
    return Case(tokenizer=CONFIG, task=task, batch=2, device="cpu")


def test_the_peer_is_as_large_and_ignores_padding_too() -> None:
    peer = PlainTokenizer(CONFIG).eval()
    ours = Tokenizer(CONFIG)
    assert sum(p.numel() for p in peer.parameters()) == sum(p.numel() for p in ours.parameters())
    images, tokens, text = draw_inputs(case("encode"), torch.float32)
    assert text is not None and text.mask.sum(1).tolist() == [2, 4]
    latents, decoded = peer.encode(images, text).mean, peer.decode(tokens, text)
    assert latents.shape == (2, 4, 3) and decoded.shape == images.shape
    text.states[~text.mask] += 5.0
    torch.testing.assert_close(peer.encode(images, text).mean, latents)
    torch.testing.assert_close(peer.decode(tokens, text), decoded)
    text.states[text.mask] += 5.0
    assert not torch.allclose(peer.encode(images, text).mean, latents)


@pytest.mark.parametrize("task", ["encode", "decode", "train"])
@pytest.mark.parametrize("variant", VARIANTS[:4], ids=lambda variant: variant.name)
def test_every_eager_variant_runs(task: str, variant: Variant) -> None:
    call = prepare(case(task), variant)
    call()
    call()


def test_the_report_compares_with_the_peer_of_the_same_turn(tmp_path: Path) -> None:
    peer, seconds = [0.2, 0.4, 0.4], [0.1, 0.1, 0.4]
    rows = [
        Row(
            task="encode",
            batch=8,
            variant=variant,
            seconds=own,
            peer_seconds=peer,
            peak_mib=12.0,
        )
        for variant, own in ((VARIANTS[0], peer), (VARIANTS[2], seconds))
    ]
    write_report(rows, ["--batch", "8"], tmp_path)
    line = "| encode | 8 | textok eager fp32 | 80 | 2.00 (1.50 to 3.00) | 12 |"
    text = (tmp_path / "speed.md").read_text()
    assert line in text and "`python -m benchmarks.tokenizer_speed --batch 8`, 3 turns" in text
    saved = json.loads((tmp_path / "speed.json").read_text())["rows"][1]
    assert saved["ratio"] == [2.0, 1.5, 3.0] and saved["images_per_second"] == 80.0
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
