"""`textok export onnx`: the files of a model, checked, and then moved to where they belong."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textok.config import TextConfig
from textok.config.check import require
from textok.config.export import ExportONNXConfig, Weights
from textok.export.check import Difference, differences, require_close
from textok.export.client import Client
from textok.export.graph import Graph
from textok.export.graphs import PROMPT, TEXT, generator_graph, text_graph, tokenizer_graphs
from textok.export.manifest import TextAbout, licence_of, manifest, with_differences
from textok.export.model import ExportedModel, open_model
from textok.export.write import files_of, require_packages, store_fp16, store_int8, write_graph
from textok.runtime.counter import counter
from textok.runtime.files import write_text
from textok.runtime.own_folder import MARKER, OwnFolder
from textok.text import FrozenTextEncoder, load_text_encoder
from textok.text.folder import find_text_model

MANIFEST = "manifest.json"
STORE: dict[Weights, Callable[[Path, Path], None]] = {"fp16": store_fp16, "int8": store_int8}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how far it is from torch."""

    files: list[Path]
    exact: list[Difference]
    """In fp32."""
    stored: list[Difference]
    """With the weights as they are stored; empty where that is fp32."""


def export_onnx(config: ExportONNXConfig) -> Exported:
    """Write the ONNX files of a model and ``manifest.json`` into ``config.out``.

    Nothing is written there before onnxruntime has given what torch gives, to ``tolerance``.
    Raises ValueError for a model that cannot be exported, for a folder that holds something else,
    without the extra ``onnx``, and for a difference above ``tolerance``.
    """
    require_packages()
    folder = OwnFolder(path=config.out, kind="an ONNX export", setting="out")
    folder.check()
    model = open_model(config.model, config.sampling, config.decoding)
    parent = config.out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as place:
        exported = write_export(model, Path(place), config)
        folder.claim()
        return Exported(
            files=_move(exported.files, config.out), exact=exported.exact, stored=exported.stored
        )


def write_export(model: ExportedModel, folder: Path, config: ExportONNXConfig) -> Exported:
    """The files in an empty ``folder``."""
    graphs, texts, readers = _graphs(model, folder)
    about = manifest(model, graphs, weights=config.weights, texts=texts, readers=readers)
    with counter("graphs", total=len(graphs)) as done:
        for graph in graphs:
            write_graph(graph, folder / f"{graph.name}.onnx")
            done(1)
    _write(folder / MANIFEST, about)
    exact = differences(Client(folder), graphs, model)
    require_close(exact, config.tolerance)
    stored: list[Difference] = []
    if config.weights != "fp32":
        for graph in graphs:
            _store(folder / f"{graph.name}.onnx", STORE[config.weights])
        stored = differences(Client(folder), graphs, model)
        require_close(stored, float("1e300"))
    for name, graph in about["graphs"].items():
        graph["bytes"] = sum(path.stat().st_size for path in files_of(folder / f"{name}.onnx"))
    _write(folder / MANIFEST, with_differences(about, stored or exact))
    return Exported(files=sorted(folder.iterdir()), exact=exact, stored=stored)


def _graphs(
    model: ExportedModel, folder: Path
) -> tuple[list[Graph], dict[str, TextAbout], dict[str, str | None]]:
    """All graphs, the text encoders among them, and which of these is read by what."""
    graphs = tokenizer_graphs(model.tokenizer)
    if model.generator is not None:
        graphs.append(generator_graph(model.generator))
    caption, prompt = model.caption_text, model.prompt_text
    readers: dict[str, str | None] = {"tokenizer": None, "generator": None}
    texts: dict[str, TextAbout] = {}
    if caption is not None:
        readers["tokenizer"] = TEXT
        graphs.append(_text(TEXT, caption, folder, texts))
    if prompt is not None:
        readers["generator"] = TEXT if model.one_text or caption is None else PROMPT
        if not model.one_text:
            graphs.append(_text(str(readers["generator"]), prompt, folder, texts))
    return graphs, texts, readers


def _text(name: str, config: TextConfig, folder: Path, texts: dict[str, TextAbout]) -> Graph:
    """The graph of a text encoder, whose vocabulary is written."""
    encoder = load_text_encoder(config)
    file = folder / f"{name}-vocabulary.json"
    size = _write_vocabulary(encoder, config, file)
    texts[name] = TextAbout(
        encoder=config.encoder,
        vocabulary=file.name,
        max_tokens=encoder.limit,
        out_tokens=config.pool or encoder.limit,
        width=encoder.width,
        padding=config.padding,
        licence=licence_of(find_text_model(config.encoder).path),
    )
    return text_graph(name, encoder, config, size)


def _write_vocabulary(encoder: FrozenTextEncoder, config: TextConfig, file: Path) -> int:
    """The text encoder's tokenizer as a file of `tokenizers`; the number of its ids."""
    backend: Any = getattr(encoder.tokenizer, "backend_tokenizer", None)
    require(
        backend is not None,
        f"text.encoder {config.encoder}: its tokenizer has no file of `tokenizers`, which an "
        "export needs",
    )
    about = json.loads(backend.to_str())
    about |= {"truncation": None, "padding": None}  # a client sets them from the manifest
    _write(file, about, indent=None)
    return int(backend.get_vocab_size())


def _store(path: Path, store: Callable[[Path, Path], None]) -> None:
    """Replace a file by one whose weights are stored in fewer bits."""
    with tempfile.TemporaryDirectory(dir=path.parent) as smaller:
        store(path, Path(smaller) / path.name)
        for old in files_of(path):
            old.unlink()
        for new in files_of(Path(smaller) / path.name):
            os.replace(new, path.with_name(new.name))


def _write(path: Path, about: dict[str, Any], *, indent: int | None = 2) -> None:
    write_text(path, json.dumps(about, indent=indent, ensure_ascii=False) + "\n")


def _move(files: list[Path], out: Path) -> list[Path]:
    """Move the files of a whole export to ``out``, the manifest last; older ones go."""
    moved = [out / path.name for path in files]
    for path in sorted(files, key=lambda path: path.name == MANIFEST):
        os.replace(path, out / path.name)
    for path in out.iterdir():
        ours = path.suffix in (".onnx", ".data") or path.name.endswith("-vocabulary.json")
        if ours and path not in moved and path.name != MARKER:
            path.unlink()
    return moved
