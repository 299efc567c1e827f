"""`textok export web`: a page that runs a model in the visitor's browser."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from textok.config.check import require
from textok.config.export import ExportWebConfig
from textok.export.build import Exported, write_export
from textok.export.model import ExportedModel, open_model
from textok.export.runtime import copy_runtime
from textok.export.write import require_packages
from textok.runtime.files import replace_folder
from textok.runtime.own_folder import OwnFolder
from textok.text.encoder import load_tokenizer
from textok.text.folder import find_text_model

PAGE = Path(__file__).parent / "page"
MODEL, RUNTIME, ABOUT = "model", "ort", "page.json"


def export_web(config: ExportWebConfig) -> Exported:
    """Write a static page into ``config.out``: the model in ``model/``, its runtime in ``ort/``.

    Raises what ``export_onnx`` does, and ValueError for a text encoder whose captions the page
    cannot read and where onnxruntime-web is not to be had.
    """
    require_packages()
    folder = OwnFolder(path=config.out, kind="a page of a model", setting="out")
    folder.check()
    model = open_model(config.model, config.sampling, config.decoding)
    _check_vocabularies(model)
    parent = config.out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as temporary:
        place = Path(temporary) / "page"  # made here, so that it has the usual rights
        shutil.copytree(PAGE, place, copy_function=shutil.copyfile)
        runtime = copy_runtime(config.runtime, place / RUNTIME, wasm_only=config.wasm_only)
        (place / MODEL).mkdir()
        exported = write_export(model, place / MODEL, config)
        large = [path.name for path in exported.files if path.suffix == ".data"]
        require(not large, f"{config.model}: too large for a browser ({', '.join(large)})")
        (place / ABOUT).write_text(json.dumps(runtime, indent=2) + "\n", encoding="utf-8")
        folder.claim()
        return Exported(
            files=_move(place, config.out), exact=exported.exact, stored=exported.stored
        )


def _check_vocabularies(model: ExportedModel) -> None:
    """Raise ValueError for a text encoder that does not read WordPiece, as BERT does."""
    for text in (model.caption_text, model.prompt_text):
        if text is None:
            continue
        backend = getattr(load_tokenizer(find_text_model(text.encoder)), "backend_tokenizer", None)
        kind = "" if backend is None else json.loads(backend.to_str())["model"]["type"]
        require(
            kind == "WordPiece",
            f"text.encoder {text.encoder}: the page reads captions by WordPiece, this one by "
            f"{kind or 'something else'}: `textok export onnx` takes it",
        )


def _move(place: Path, out: Path) -> list[Path]:
    """Move the whole page to ``out``, index.html last; all its files."""
    parts = sorted(place.iterdir(), key=lambda path: (path.name == "index.html", path.name))
    for part in parts:
        if part.is_dir():
            replace_folder(part, out / part.name)
        else:
            os.replace(part, out / part.name)
    files = [path for part in parts for path in _files(out / part.name)]
    return sorted(files)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
