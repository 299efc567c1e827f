"""Work on a GPU recorded once as a CUDA graph and replayed: one launch instead of thousands.

A graph is static: the same kernels at the same addresses. So what is recorded is a function of
tensors that never waits for the device, reads no value of a tensor on the host and copies nothing
from it; all that depends on the host (seeds, times, labels that have to be checked) comes before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

MOST = 8
"""Recordings that are kept, each with memory of its own; the one unused for longest goes first."""
WARM_UPS = 2
"""Calls before one is recorded: libraries and kernels that start up cannot be recorded."""

Call = Callable[..., Tensor]
Given = Sequence[Tensor | None]

_recording: ContextVar[bool] = ContextVar("recording", default=False)


def being_recorded() -> bool:
    """Whether the work of this moment is recorded: its tensors' values are not to be looked at."""
    return _recording.get()


@contextmanager
def as_recorded() -> Iterator[None]:
    """Inside, work is done as for a recording."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A call with tensors of its own, which ``replay`` reads and overwrites."""

    given: list[Tensor | None]
    output: Tensor
    replay: Callable[[], None]


class Recorder:
    """Makes calls by way of recordings, one for each name and each shapes and types of tensors.

    Outside inference mode, and for tensors on other devices than ``device_type``, a call is simply
    made. So is one that could not be recorded, which a warning tells once. A name stands for all
    that a call depends on beside its tensors, and keeps it alive. The addresses of weights are part
    of a recording: their values may change in place; once moved or converted they need a new
    recorder.
    """

    def __init__(
        self,
        *,
        device_type: str = "cuda",
        record: Callable[[Call, Given], Recording] | None = None,
        most: int = MOST,
    ) -> None:
        self.device_type, self.most = device_type, most
        self._record = record or record_cuda
        self._recordings: dict[Hashable, Recording | None] = {}
        self._lock, self._warned = Lock(), False

    def __call__(self, name: Hashable, call: Call, *given: Tensor | None) -> Tensor:
        """``call(*given)``, which is a function of the tensors and of what ``name`` stands for."""
        if not torch.is_inference_mode_enabled() or not self._takes(given):
            return call(*given)
        key = (name, *_numbers(self.device_type), *map(_shape, given))
        with self._lock:
            recording = self._find(key, call, given)
            if recording is None:
                return call(*given)
            for own, new in zip(recording.given, given, strict=True):
                if own is not None and new is not None:
                    own.copy_(new)
            recording.replay()
            return recording.output.clone()

    def _takes(self, given: Given) -> bool:
        types = {one.device.type for one in given if one is not None}
        return types == {self.device_type}

    def _find(self, key: Hashable, call: Call, given: Given) -> Recording | None:
        """The recording of that key, made where there is none; None where it cannot be made."""
        if key in self._recordings:
            self._recordings[key] = found = self._recordings.pop(key)
            return found
        try:
            self._recordings[key] = self._record(call, given)
        except RuntimeError as error:  # whatever CUDA refuses; a call that fails by itself does so
            self._recordings[key] = None  # again when it is simply made.
            if not self._warned:
                self._warned = True
                reason = str(error).strip().partition("\n")[0]
                warnings.warn(
                    f"could not be recorded as a CUDA graph, and runs as without: {reason}",
                    stacklevel=4,
                )
        while len(self._recordings) > self.most:
            self._recordings.pop(next(iter(self._recordings)))
        return self._recordings[key]


def _shape(tensor: Tensor | None) -> Hashable:
    return None if tensor is None else (tensor.shape, tensor.dtype, tensor.device)


def _numbers(device_type: str) -> tuple[Hashable, ...]:
    """What a call's numbers are calculated in, which a recording keeps."""
    known = torch.amp.is_autocast_available(device_type)
    automatic = known and torch.is_autocast_enabled(device_type)
    return automatic, torch.get_autocast_dtype(device_type) if automatic else None


def record_cuda(call: Call, given: Given) -> Recording:
    """Record ``call`` on the CUDA device of its tensors. Raises RuntimeError where CUDA refuses.

    Weights that autocast converts are converted again in the recording: those it has at hand
    are given back when autocast ends.
    """
    device = next(one.device for one in given if one is not None)
    with torch.cuda.device(device), as_recorded():
        own = [None if one is None else one.clone() for one in given]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                call(*own)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                output = call(*own)
        finally:
            torch.clear_autocast_cache()
    return Recording(given=own, output=output, replay=graph.replay)
