"""What is recorded, when it is replayed, and what happens where it cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from textok.runtime.recorder import WARM_UPS, Call, Given, Recorder, Recording, being_recorded


class Records:
    """Recordings on the CPU that count what they do."""

    def __init__(self) -> None:
        self.made = self.replayed = 0

    def __call__(self, call: Call, given: Given) -> Recording:
        own = [None if one is None else one.clone() for one in given]
        output = call(*own)
        self.made += 1

        def replay() -> None:
            self.replayed += 1
            output.copy_(call(*own))

        return Recording(given=own, output=output, replay=replay)


def double(x: Tensor, y: Tensor | None = None) -> Tensor:
    return 2 * x if y is None else 2 * x + y


@torch.inference_mode()
def run(by: Recorder, name: object, *given: Tensor | None) -> Tensor:
    return by(name, double, *given)


def test_one_recording_for_each_name_shape_and_type() -> None:
    records = Records()
    by = Recorder(device_type="cpu", record=records)
    one = run(by, "a", torch.ones(2))
    other = run(by, "a", torch.full((2,), 3.0))
    assert (one.tolist(), other.tolist()) == ([2, 2], [6, 6])
    assert (records.made, records.replayed) == (1, 2)
    run(by, "b", torch.ones(2))
    run(by, "a", torch.ones(3))
    run(by, "a", torch.ones(2).double())
    run(by, "a", torch.ones(2), torch.ones(2))
    assert run(by, "a", torch.ones(2), None).tolist() == [2, 2]
    assert records.made == 6
    with torch.autocast("cpu", torch.bfloat16):
        run(by, "a", torch.ones(2))
    assert records.made == 7


def test_the_recording_unused_for_longest_goes_first() -> None:
    records = Records()
    by = Recorder(device_type="cpu", record=records, most=2)
    for name in ("a", "b", "a", "c", "a"):
        run(by, name, torch.ones(1))
    assert records.made == 3
    run(by, "b", torch.ones(1))
    assert records.made == 4


def test_with_gradients_and_on_other_devices_a_call_is_made() -> None:
    records = Records()
    by, x = Recorder(device_type="cpu", record=records), torch.ones(2, requires_grad=True)
    assert by("a", double, x).requires_grad
    assert run(Recorder(record=records), "a", torch.ones(2)).tolist() == [2, 2]
    assert records.made == 0


def test_what_cannot_be_recorded_runs_and_is_told_once() -> None:
    tried = []

    def refuse(call: Call, given: Given) -> Recording:
        tried.append(given)
        raise RuntimeError("CUDA error: operation not permitted\nCompile with ...")

    by = Recorder(device_type="cpu", record=refuse)
    match = "could not be recorded as a CUDA graph, and runs as without: CUDA error: operation not"
    with pytest.warns(UserWarning, match=match) as told:
        assert run(by, "a", torch.ones(2)).tolist() == [2, 2]
    assert len(told) == 1 and "\n" not in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run(by, "a", torch.ones(2))
        run(by, "b", torch.ones(2))
    assert len(tried) == 2


def test_an_error_of_the_call_is_its_own() -> None:
    def fail(x: Tensor) -> Tensor:
        raise ValueError("labels go from 0 to 7")

    with pytest.raises(ValueError, match="labels go"), torch.inference_mode():
        Recorder(device_type="cpu", record=Records())("a", fail, torch.ones(1))


class FakeCuda:
    """The parts of ``torch.cuda`` that a recording is made with; what is captured is called."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.events.append("replay"))
        self.Stream = self.current_stream = lambda: SimpleNamespace(wait_stream=lambda _: None)
        self.device = self.stream = lambda _: nullcontext()

    @contextmanager
    def graph(self, graph: Any, *, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.events.append("begin")
        yield
        self.events.append("end")


def test_a_recording_is_made_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU; here the calls that it is made of, in their order."""
    fake = FakeCuda()
    monkeypatch.setattr(torch, "cuda", fake)
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: fake.events.append("clear"))

    def call(x: Tensor) -> Tensor:
        assert being_recorded()
        fake.events.append("call")
        return 2 * x

    with torch.inference_mode():
        out = Recorder(device_type="cpu")("a", call, torch.ones(2))
    warm = ["call"] * WARM_UPS
    assert fake.events == [*warm, "clear", "begin", "call", "end", "clear", "replay"]
    assert out.tolist() == [2, 2] and not being_recorded()
