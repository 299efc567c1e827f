"""A pipeline by way of recordings, without a GPU: as traces, and where nothing can be recorded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import get_args

import pytest
import torch

from tests.static_graph import traced
from textok.config.generation import GenerateConfig
from textok.config.generator import SamplingConfig
from textok.config.networks import CompileMode
from textok.generator import DiT
from textok.pipeline import ImageRequest, TextToImage
from textok.pipeline.files import generate_files
from textok.runtime.recorder import Recorder

REQUESTS = [ImageRequest(condition="a red apple", seed=1), ImageRequest(condition="", seed=2)]
CLASSES = [ImageRequest(condition="sky", seed=1), ImageRequest(condition="food-fruit", seed=2)]


@pytest.mark.parametrize("condition", ["text", "class"])
def test_a_recorded_pipeline_draws_the_same(by_text: Path, by_class: Path, condition: str) -> None:
    folder = by_text if condition == "text" else by_class
    requests = REQUESTS if condition == "text" else CLASSES
    pipe = TextToImage.from_pretrained(folder)
    sampling = SamplingConfig(sampler="dpmpp", steps=3)
    plain = pipe.draw_tensor(requests, sampling=sampling)
    recorder = Recorder(device_type="cpu", record=traced)
    pipe.generator.recorder = pipe.tokenizer.recorder = recorder
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for _ in range(2):
            found = pipe.draw_tensor(requests, sampling=sampling)
            torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    assert len(recorder._recordings) == 2  # tokens and decoding
    again = pipe.draw_tensor(requests[::-1], sampling=sampling)
    torch.testing.assert_close(again, plain.flip(0), rtol=1e-4, atol=1e-4)
    assert len(recorder._recordings) == 2


@pytest.mark.parametrize("mode", ["graph", "fused"])
def test_without_a_gpu_it_says_so_and_draws_as_before(by_text: Path, mode: str) -> None:
    pipe = TextToImage.from_pretrained(by_text)
    plain = pipe.draw_tensor(REQUESTS)
    with pytest.warns(
        UserWarning, match="need a CUDA device, this is cpu: nothing changes"
    ) as told:
        pipe.compile(mode)  # type: ignore[arg-type]
    assert len(told) == 1
    assert torch.equal(pipe.draw_tensor(REQUESTS), plain)


def test_another_mode_is_refused(by_text: Path) -> None:
    with pytest.raises(ValueError, match="'fast' is unknown: use one of graph, blocks, autotune"):
        TextToImage.from_pretrained(by_text).compile("fast")  # type: ignore[arg-type]


def test_blocks_are_compiled_and_as_written_again(by_text: Path) -> None:
    pipe = TextToImage.from_pretrained(by_text)
    plain = pipe.draw_tensor(REQUESTS)
    assert isinstance(pipe.generator, DiT)
    blocks = [pipe.generator._blocks()[0], pipe.tokenizer.decoder.trunk.blocks[0]]
    with pytest.warns(UserWarning, match="this is cpu: blocks are compiled alone"):
        pipe.compile("blocks")
    assert "apply_prepared" in vars(blocks[0]) and blocks[1]._compiled_call_impl is not None
    with torch.compiler.set_stance("force_eager"):
        assert torch.equal(pipe.draw_tensor(REQUESTS), plain)
    with pytest.warns(UserWarning, match="nothing changes"):
        pipe.compile("graph")
    assert "apply_prepared" not in vars(blocks[0]) and blocks[1]._compiled_call_impl is None
    assert torch.equal(pipe.draw_tensor(REQUESTS), plain)


def test_the_command_asks_for_it(
    by_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(TextToImage, "compile", lambda self, mode: asked.append(mode))
    model, out = str(by_text), tmp_path / "drawn"
    for mode in (*get_args(CompileMode), "no"):
        config = GenerateConfig(
            prompt=("a dog",), model=model, num_images=1, out=out, device="cpu", compile=mode
        )
        generate_files(config)
    assert asked == list(get_args(CompileMode))
