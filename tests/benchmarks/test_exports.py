"""Exports that do not belong to a model, or sample otherwise, are not measured as if they did."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")

from benchmarks.exports import check_sampling, open_exports
from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.runtime.files import file_sha256

SAMPLING = SamplingConfig(sampler="meanflow", steps=4, guidance=GuidanceConfig(scale=2.0))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "generator").mkdir(parents=True)
    (tmp_path / "model" / "generator" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


def export(folder: Path, model: Path, **sampling: Any) -> Path:
    weights = model / "generator" / "model.safetensors"
    told = {"sampler": SAMPLING.sampler, "steps": 4, "guidance": asdict(SAMPLING.guidance)}
    manifest = {
        "source_sha256": {"generator/model.safetensors": file_sha256(weights)},
        "sampling": told | sampling,
    }
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_exports_of_the_model_are_opened_by_name(model: Path, tmp_path: Path) -> None:
    folders = [export(tmp_path / name, model) for name in ("fp32", "int8")]
    clients = open_exports(str(model), folders, beside="torch", threads=1)
    assert {name: client.folder for name, client in clients.items()} == {
        folder.name: folder for folder in folders
    }
    check_sampling(clients, SAMPLING)


def test_those_of_other_weights_or_steps_are_refused(model: Path, tmp_path: Path) -> None:
    few = open_exports(
        str(model), [export(tmp_path / "few", model, steps=1)], beside="torch", threads=1
    )
    with pytest.raises(ValueError, match=r"few: samples otherwise than the model \(meanflow, 1 st"):
        check_sampling(few, SAMPLING)
    old = export(tmp_path / "old", model)
    (model / "generator" / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="old: an export of other weights than those of"):
        open_exports(str(model), [old], beside="torch", threads=1)
