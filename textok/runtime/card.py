"""The header of a model card, by which the hub finds and shows a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from textok.runtime.pretrained import CARD

LIBRARY = "textok"
TOKENIZER_TASK = "image-feature-extraction"
"""The task of the hub under which a tokenizer is found: tokens are what it makes of an image."""


def card_header(task: str, *, tags: Sequence[str], library: str = LIBRARY) -> str:
    """The YAML between two lines of dashes; ``task`` is one of the hub's."""
    data = {"library_name": library, "pipeline_tag": task, "tags": [*tags, library]}
    return f"---\n{yaml.safe_dump(data, sort_keys=False)}---\n"


def base_models(folder: Path) -> list[str]:
    """The ``base_model`` entries of the card in ``folder``; none where it names none.

    Raises ValueError for a header that is not YAML.
    """
    named = read_header(folder).get("base_model", [])
    return [named] if isinstance(named, str) else list(named)


def read_header(folder: Path) -> dict[str, Any]:
    """The header of the card in ``folder`` as a mapping; empty where there is none.

    Raises ValueError for one that is not YAML.
    """
    path = folder / CARD
    if not path.is_file():
        return {}
    from huggingface_hub import metadata_load

    try:
        return metadata_load(path) or {}
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: its header is not YAML ({reason}): correct it") from None


def write_header(folder: Path, data: dict[str, Any]) -> None:
    """Replace the header of the card in ``folder`` (made if there is none), whatever follows it."""
    from huggingface_hub import metadata_save

    path = folder / CARD
    path.touch()
    metadata_save(path, data)
