"""Little shared memory is named before a loader process is lost to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from textok.runtime import loader as loader_module
from textok.runtime.loader import read_ahead


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return index


class Killed(Numbers):
    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), signal.SIGBUS)
        return index


def free(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    usage = SimpleNamespace(free=megabytes << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def test_too_little_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 64)
    loader = DataLoader(Numbers(), batch_size=None, num_workers=2)
    with pytest.raises(ValueError, match=r"has 64 MiB free, .* take 100 MiB.*workers to 0"):
        next(read_ahead(loader, batch_bytes=20 << 20))
    assert list(read_ahead(loader, batch_bytes=12 << 20)) == [0, 1, 2, 3]


def test_this_process_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 0)
    loader = DataLoader(Numbers(), batch_size=None, num_workers=0)
    assert list(read_ahead(loader, batch_bytes=1 << 30)) == [0, 1, 2, 3]


def test_where_there_is_no_shared_memory_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "SHARED", Path("/nowhere"))
    loader_module.check_shared_memory(1 << 60)


def test_a_killed_process_is_one_line() -> None:
    generator = torch.Generator()
    loader = DataLoader(Killed(), batch_size=None, num_workers=1, generator=generator)
    with pytest.raises(ValueError, match=r"loader process was killed.*data\.workers 0") as error:
        list(read_ahead(loader, batch_bytes=1))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_more_processes_than_cores_are_no_warning() -> None:
    lines = ["import os", "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])"]
    lines += ["import textok.runtime.loader", "from torch.utils.data import DataLoader"]
    lines += ["DataLoader([1, 2], num_workers=2)"]
    words = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
