"""A model's folder and its reports as a repository of the hub."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.config.push import CardFacts, PushConfig
from textok.evaluate.model_index import eval_results
from textok.pipeline.card import TAGS, TASKS
from textok.pipeline.folder import GENERATOR, SETTINGS, TOKENIZER
from textok.runtime.card import LIBRARY, TOKENIZER_TASK, read_header, write_header
from textok.runtime.pretrained import CARD, CONFIG, WEIGHTS, read_json
from textok.runtime.repository import REPORTS, push_folder

KINDS = {"tokenizer", "vqgan", "generator", "maskgit"}
"""Of which a model's config.json has one."""
PUBLISHED = (".json", ".safetensors", ".md", ".txt")
OF_REPORT = (".json", ".md", ".png", ".jpg", ".webp", ".csv")
DIFFUSERS = "model_index.json"


def push_model(config: PushConfig) -> str:
    """Upload a model's folder, with ``reports/`` and a complete card; returns its address.

    All of it is one commit. The folder itself stays as it is. Raises ValueError, one line, for what
    is no model or no report, and where the hub refuses.
    """
    check_model_folder(config.model)
    names = [folder.resolve().name for folder in config.reports]
    require(
        len(set(names)) == len(names),
        f"reports: two folders are called {', '.join(sorted(names))}: rename one",
    )
    with tempfile.TemporaryDirectory() as made:
        whole = Path(made) / "model"
        endings = (*PUBLISHED, ".py") if (config.model / DIFFUSERS).is_file() else PUBLISHED
        _copy(config.model, whole, endings)
        header = card_data(
            config.model, config.card, config.reports, model_name=config.repo.split("/")[1]
        )
        write_header(whole, header)
        for folder, name in zip(config.reports, names, strict=True):
            _copy(folder, whole / REPORTS / name, OF_REPORT)
        return push_folder(
            whole,
            config.repo,
            private=config.private,
            revision=config.revision,
            token=config.token,
        )


def check_model_folder(folder: Path) -> None:
    """Raise ValueError unless textok wrote a whole model to ``folder``."""
    require(folder.is_dir(), f"{folder}: no such folder; a run of `textok train` has a model/")
    inner = folder / "model"
    if (folder / DIFFUSERS).is_file() and inner.is_dir():
        return check_model_folder(inner)
    if (folder / SETTINGS).is_file():
        for part in (TOKENIZER, GENERATOR):
            check_model_folder(folder / part)
        return None
    known = folder / CONFIG
    kind = KINDS & read_json(known).keys() if known.is_file() else set()
    hint = f": name {inner}" if inner.is_dir() else "; a run of `textok train` has a model/"
    require(bool(kind), f"{folder}: not a folder that textok wrote a model to{hint}")
    require((folder / WEIGHTS).is_file(), f"{folder}: has no {WEIGHTS}; copy the folder again")
    return None


def card_data(
    folder: Path, facts: CardFacts, reports: Sequence[Path] = (), *, model_name: str
) -> dict[str, Any]:
    """The header of a model's card: what its own card says, what it is, ``facts`` and results.

    ``facts`` count more than the card; lists of the card are added to. The results of ``reports``,
    if there are any, replace those of the card.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    known = read_header(folder)
    data: dict[str, Any] = {"library_name": LIBRARY, **_defaults(folder), **known}
    if facts.license is not None:
        data["license"] = facts.license
    added = {
        "tags": (*_listed(data.get("tags")), *facts.tags, LIBRARY),
        "datasets": (*_listed(data.get("datasets")), *facts.datasets),
        "base_model": (*_listed(data.get("base_model")), *facts.base_model),
        "language": (*_listed(data.get("language")), *facts.language),
    }
    data |= {key: list(dict.fromkeys(names)) for key, names in added.items() if names}
    results: list[EvalResult] = eval_results(reports)
    if results:
        data["model-index"] = eval_results_to_model_index(model_name, results)
    return data


def _defaults(folder: Path) -> dict[str, Any]:
    """Task and tags of a card that was written without them; none of a generator alone."""
    if (folder / DIFFUSERS).is_file():
        folder = folder / "model"
    if (folder / SETTINGS).is_file():
        condition = "class" if read_json(folder / SETTINGS).get("classes") else "text"
        return {"pipeline_tag": TASKS[condition], "tags": [TAGS[condition]]}
    if {"tokenizer", "vqgan"} & read_json(folder / CONFIG).keys():
        return {"pipeline_tag": TOKENIZER_TASK, "tags": ["image-tokenizer"]}
    return {}


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(one) for one in list(value)]  # type: ignore[call-overload]


def _copy(source: Path, target: Path, endings: Sequence[str]) -> None:
    """The files of a folder by links where that can be, but its card, which is written to.

    Hidden files and those of other endings stay behind.
    """
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        hidden = any(part.startswith((".", "__")) for part in inside.parts)
        if hidden or not path.is_file() or path.suffix not in endings:
            continue
        copy = target / inside
        copy.parent.mkdir(parents=True, exist_ok=True)
        if inside == Path(CARD):
            shutil.copyfile(path, copy)
        else:
            copy.symlink_to(path.resolve())
