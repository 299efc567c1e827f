"""Exports of a model, opened for a benchmark beside the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from textok.config.check import require
from textok.config.generator import SamplingConfig
from textok.export.client import Client
from textok.runtime.files import file_sha256
from textok.runtime.pretrained import find_folder


def open_exports(
    model: str, folders: Sequence[Path], *, beside: str, threads: int
) -> dict[str, Client]:
    """Each by the name of its folder, which is none of the others' and not ``beside``.

    Raises ValueError where a folder is no export of the weights of ``model``.
    """
    names = [folder.resolve().name for folder in folders]
    require(
        len({beside, *names}) == 1 + len(names),
        f"exports: {', '.join(names)}: rows are called by the folders, give each a name of its "
        f"own, and none '{beside}'",
    )
    for folder in folders:
        there = (folder / "manifest.json").is_file()
        require(there, f"{folder}: no export; run `textok export onnx` first")
    source = find_folder(model)
    files = sorted(source.rglob("*.safetensors"))
    weights = {str(path.relative_to(source)): file_sha256(path) for path in files}
    clients = {}
    for name, folder in zip(names, folders, strict=True):
        clients[name] = Client(folder, threads=threads)
        require(
            clients[name].manifest.get("source_sha256") == weights,
            f"{folder}: an export of other weights than those of {model}: run `textok export onnx "
            f"{model} {folder}` again",
        )
    return clients


def check_sampling(clients: dict[str, Client], sampling: SamplingConfig) -> None:
    """Raise ValueError unless all exports sample as ``sampling`` says."""
    expected = (sampling.sampler, sampling.steps, asdict(sampling.guidance))
    for name, client in clients.items():
        found = client.manifest["sampling"]
        require(
            (found["sampler"], found["steps"], found["guidance"]) == expected,
            f"{name}: samples otherwise than the model ({found['sampler']}, {found['steps']} "
            f"steps, guidance {found['guidance']['scale']:g}): export it without other settings",
        )
