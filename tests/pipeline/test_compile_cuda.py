"""Recorded and fused drawing on a GPU; on a machine without one nothing here runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch

from textok.config.generator import SamplingConfig
from textok.config.networks import CompileMode, RunPrecision
from textok.nn import fused
from textok.pipeline import ImageRequest, TextToImage

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
MODES = get_args(CompileMode)
BATCHES = [
    [ImageRequest(condition="a red apple", seed=1), ImageRequest(condition="", seed=2)],
    [ImageRequest(condition="a dog", seed=3), ImageRequest(condition="a cat", seed=4)],
]


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """A recording that fails would be a warning alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="could not be recorded")
        yield


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp", "sde"])
def test_pictures_are_the_same(by_text: Path, mode: CompileMode, sampler: str) -> None:
    pipe = TextToImage.from_pretrained(by_text, device="cuda")
    sampling = SamplingConfig(sampler=sampler, steps=4)  # type: ignore[arg-type]
    plain = [pipe.draw_tensor(batch, sampling=sampling) for batch in BATCHES]
    pipe.compile(mode)
    for _ in range(2):
        for batch, wanted in zip(BATCHES, plain, strict=True):
            found = pipe.draw_tensor(batch, sampling=sampling)
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", get_args(RunPrecision))
def test_in_every_precision(by_text: Path, precision: RunPrecision) -> None:
    pipe = TextToImage.from_pretrained(by_text, device="cuda", precision=precision)
    plain = pipe.draw_tensor(BATCHES[0])
    pipe.compile("graph")
    for batch in (BATCHES[1], BATCHES[0]):
        found = pipe.draw_tensor(batch)
        torch.empty(2**24, device="cuda").fill_(float("nan"))  # over whatever was given back
    torch.testing.assert_close(found, plain, rtol=2e-2, atol=5e-2)


def test_kernels_give_what_the_plain_form_gives() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 1152, device="cuda"), torch.randn(2, 5, 1152, device="cuda")
    table = torch.randn(1, 6 * 1152, device="cuda")
    shift, scale, gate, *_ = table.chunk(6, dim=-1)
    total = x + gate[:, None] * y
    normed = torch.nn.functional.layer_norm(total, (1152,), eps=1e-6)
    with torch.inference_mode():
        assert fused.usable(x)
        found = fused.add_and_modulate(x, gate, y, shift, scale)
    torch.testing.assert_close(found[0], total)
    wanted = normed * (1 + scale[:, None]) + shift[:, None]
    torch.testing.assert_close(found[1], wanted, rtol=1e-5, atol=1e-5)
