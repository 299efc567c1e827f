"""Tokenizers as folders or hub repositories: config.json, model.safetensors and a model card."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from textok.config import TextConfig, TokenizerConfig
from textok.config.read import build
from textok.nn.positions import resize_grid
from textok.tokenizer.card import model_card

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
GRIDS = ("encoder.positions", "decoder.queries")
"""Parameters (N, D) with one row a patch: interpolated when the image size changes."""

BUNDLED = ("pictograms",)
"""Names of the models that ship inside the package."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """What a tokenizer folder holds."""

    config: TokenizerConfig
    text: TextConfig | None
    state: dict[str, Tensor]


def write_folder(folder: str | Path, saved: Saved) -> Path:
    """Write a tokenizer folder.

    Each file is written under another name and renamed, so that a reader never sees half of one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"tokenizer": dataclasses.asdict(saved.config)}
    if saved.text is not None:
        config["text"] = dataclasses.asdict(saved.text)
    state = {key: value.detach().cpu().contiguous() for key, value in saved.state.items()}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as part:
        save_file(state, Path(part) / WEIGHTS, metadata={"format": "pt"})
        (Path(part) / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (Path(part) / CARD).write_text(model_card(saved.config, saved.text))
        for name in (WEIGHTS, CARD, CONFIG):
            os.replace(Path(part) / name, folder / name)
    return folder


def read_folder(source: str | Path, *, image_size: int | None = None) -> Saved:
    """Read a bundled name, a folder or a hub repository; weights come as float32.

    ``image_size`` other than the saved one interpolates the grid positions. Raises ValueError
    naming the file or setting that does not fit.
    """
    folder = find_folder(source)
    config, text = _read_config(folder / CONFIG)
    state = _read_weights(folder / WEIGHTS)
    if image_size is not None and image_size != config.image_size:
        config = dataclasses.replace(config, image_size=image_size)
        for key in GRIDS:
            if key in state:
                state[key] = resize_grid(state[key], config.grid)
    return Saved(config=config, text=text, state=state)


def push_folder(folder: str | Path, repo_id: str, *, private: bool) -> str:
    """Upload a tokenizer folder to the hub repository ``repo_id``; returns its address."""
    api = HfApi()
    api.create_repo(repo_id, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder))


def find_folder(source: str | Path) -> Path:
    """The local folder of a bundled name, a path or a hub repository (fetched once)."""
    if str(source) in BUNDLED:
        return Path(str(files("textok"))) / "assets" / str(source)
    path = Path(source)
    if path.is_dir():
        return path
    missing = (
        f"{source}: no such folder, bundled model ({', '.join(BUNDLED)}) or reachable hub "
        "repository; give the folder that holds config.json and model.safetensors"
    )
    if path.is_absolute() or str(source).startswith(".") or str(source).count("/") != 1:
        raise ValueError(missing)
    try:
        return Path(snapshot_download(str(source), allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(f"{missing} ({type(error).__name__})") from error


def _read_config(path: Path) -> tuple[TokenizerConfig, TextConfig | None]:
    """The two dataclasses of a tokenizer's ``config.json``, read strictly."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; is {path.parent} a tokenizer folder?") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not JSON but some binary file; copy it again") from None
    if not isinstance(data, dict) or "tokenizer" not in data:
        raise ValueError(f"{path}: has no 'tokenizer' part; this is not a textok tokenizer")
    config = build(TokenizerConfig, data["tokenizer"], where=f"{path}: tokenizer")
    text = build(TextConfig, data["text"], where=f"{path}: text") if "text" in data else None
    return config, text


def check_state(expected: dict[str, Tensor], found: dict[str, Tensor], *, where: str) -> None:
    """Raise ValueError naming the first keys that are missing, unknown or of another shape."""
    problems = [f"missing {key}" for key in expected if key not in found]
    problems += [f"unknown {key}" for key in found if key not in expected]
    problems += [
        f"{key} is {tuple(found[key].shape)}, the config asks for {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"{where} does not fit its config: {'; '.join(problems[:3])}{more}")


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the tokenizer folder has no weights")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or not safetensors ({error}); copy it again") from None
    return {key: value.float() for key, value in state.items()}
