"""What every test starts from."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from textok.nn.lpips import BACKBONES, LPIPS, WEIGHTS_VARIABLE

TOGETHER = {
    "tests/export/test_web.py": "tests/export/test_onnx.py",
    "tests/train/test_generator_runs.py": "tests/train/test_generator.py",
}
"""Files that share with another what is dear to set up."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """As ``--dist loadfile``, but that such files go to one process; any other as it is."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByShared(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return ByShared(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay, half a million objects that a collection need not look through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_lpips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No weights of LPIPS, whatever this machine has; the path where they are missing."""
    before, path = (
        os.environ.get(WEIGHTS_VARIABLE),
        tmp_path_factory.mktemp("none") / "lpips.safetensors",
    )
    os.environ[WEIGHTS_VARIABLE] = str(path)
    yield path
    if before is None:
        del os.environ[WEIGHTS_VARIABLE]
    else:
        os.environ[WEIGHTS_VARIABLE] = before


@pytest.fixture(scope="session", autouse=True)
def no_curves() -> Iterator[None]:
    """No curves of trainings in this process: a second each; `train/driver.py` draws some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textok.train.report.draw_curves", lambda log, target: None)
        yield


@pytest.fixture(autouse=True)
def released_log() -> Iterator[None]:
    """The lock of ``logging`` is let go of, so that other threads can go on.

    Python takes it around each fork, and keeps it for ever if a signal's handler raises just then,
    as those of interrupts, alarms and of loaders whose worker was killed do.
    """
    yield
    lock = logging._lock
    while lock._is_owned():
        lock.release()


@pytest.fixture(scope="session")
def lpips_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as `textok convert lpips` writes it, with random weights and heads of 0 or more."""
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    torch.manual_seed(0)
    state = {}
    for backbone in BACKBONES:
        network = LPIPS(backbone)
        for head in network.heads:
            torch.nn.init.uniform_(head)
        state |= {f"{backbone}.{key}": value for key, value in network.state_dict().items()}
    save_file(state, path)
    return path


@pytest.fixture
def hf_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the `datasets` library of the test's own, without the network and without bars."""
    datasets = pytest.importorskip("datasets")
    from textok.data.hub_set import load_set

    folder = tmp_path_factory.mktemp("hf-cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    load_set.cache_clear()
    return folder
