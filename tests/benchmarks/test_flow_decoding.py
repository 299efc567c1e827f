"""The benchmark of decoding: equal parameters, and ratios of the same turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import flow_decoding
from benchmarks.flow_decoding import decoders, main, measure, parameters, regression_of
from textok.config import TrainTokenizerConfig
from textok.config.presets import preset_path
from textok.config.read import load_config


@pytest.mark.parametrize(
    "presets", [["photographs-flow-64"], ["products-flow-64"], ["textok-256", "flow-256"]]
)
def test_the_peer_has_as_many_parameters(presets: list[str]) -> None:
    flow = load_config(TrainTokenizerConfig, [preset_path(name) for name in presets]).tokenizer
    peer = regression_of(flow)
    assert peer.decoding == "regression" and peer.encoder == flow.encoder
    assert parameters(peer) == pytest.approx(parameters(flow), rel=0.05)


def test_ratios_are_to_the_first_of_the_same_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"one": iter([1.0, 2.0, 4.0]), "two": iter([3.0, 4.0, 20.0])}
    calls = {name: lambda name=name: torch.tensor(len(name)) for name in times}
    by_call = {id(call): times[name] for name, call in calls.items()}
    monkeypatch.setattr(flow_decoding, "clock", lambda call, count, device: next(by_call[id(call)]))
    one, two = measure(calls, batch=2, turns=3, device="cpu")
    assert (one.ratio, one.milliseconds) == (1.0, 1000.0)
    assert (two.ratio, two.milliseconds) == (3.0, 2000.0)


def test_a_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_decoding, "STEPS", (1, 3))
    small = tmp_path / "small.yaml"
    small.write_text(
        "tokenizer: {image_size: 16, num_tokens: 2, text: none, decoding: flow, "
        "encoder: {width: 16, depth: 1, heads: 1}, decoder: {width: 16, depth: 2, heads: 1}}\n"
        "loss: {gan: {weight: 0}}\n"
    )
    main(preset=(str(small),), batch=2, turns=1, out=tmp_path)
    found = json.loads((tmp_path / "decoding.json").read_text())
    assert [row["name"] for row in found["rows"]] == [
        "regression",
        "flow, 1 step",
        "flow, 3 steps",
    ]
    assert found["rows"][0]["ratio"] == 1.0
    assert "| flow, 3 steps |" in (tmp_path / "decoding.md").read_text()


def test_every_way_gives_images() -> None:
    flow = load_config(TrainTokenizerConfig, [preset_path("photographs-flow-64")]).tokenizer
    for call in decoders(flow, batch=1, steps=[2], device="cpu").values():
        assert call().shape == (1, 3, 64, 64)
