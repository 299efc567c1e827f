"""A pipeline as a folder that diffusers loads: model_index.json, pipeline.py and model/."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch

from textok.config.check import require
from textok.pipeline.card import TAGS, TASKS
from textok.pipeline.folder import PipelineParts, save_pipeline
from textok.runtime.card import card_header
from textok.runtime.files import WRITING, named_errors, replace_folder, write_text
from textok.runtime.own_folder import foreign_files
from textok.runtime.pretrained import CARD, read_json

INDEX, CODE, MODEL = "model_index.json", "pipeline.py", "model"
COMPONENT = "textok_model"
"""Module of ``model/`` that diffusers loads the model by, from a folder as from the hub."""
OURS = {INDEX, CODE, MODEL, CARD}

PIPELINE = '''"""The pipeline of this folder; it needs the package textok."""

from textok.pipeline.diffusers import TexTokPipeline

__all__ = ["TexTokPipeline"]
'''

MODEL_CODE = '''"""The model of this folder; it needs the package textok."""

from textok.pipeline.diffusers import TexTokModel

__all__ = ["TexTokModel"]
'''

MODEL_INDEX = {
    "_class_name": ["pipeline", "TexTokPipeline"],
    "_diffusers_version": "0.32.0",
    MODEL: [COMPONENT, "TexTokModel"],
}

USE = """
# Pictures out of {tokens} tokens

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("THIS_FOLDER_OR_REPOSITORY", trust_remote_code=True)
image = pipe({call}, seed=0).images[0]
```

The Python files only import textok, which has to be installed. `model/` is a pipeline of textok.
"""


def save_diffusers(
    folder: str | Path, parts: PipelineParts, *, precision: torch.dtype | None = None
) -> Path:
    """Write a pipeline for diffusers, weights in ``precision``; it appears whole or not at all.

    An older one in ``folder`` is replaced. Raises ValueError where it holds anything else.
    """
    folder = Path(folder).absolute()
    check_diffusers_folder(folder)
    condition = parts.generator.config.condition
    call = f'class_labels="{parts.classes[0]}"' if condition == "class" else '"a red apple"'
    header = card_header(TASKS[condition], tags=(TAGS[condition], "textok"), library="diffusers")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        named_errors(folder),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=WRITING) as part,
    ):
        whole = Path(part) / "pipeline"  # made here, so that it has the usual rights
        whole.mkdir()
        save_pipeline(whole / MODEL, parts, precision=precision)
        write_text(whole / INDEX, json.dumps(MODEL_INDEX, indent=2) + "\n")
        write_text(whole / CODE, PIPELINE)
        write_text(whole / MODEL / f"{COMPONENT}.py", MODEL_CODE)
        write_text(
            whole / CARD, header + USE.format(tokens=parts.generator.config.num_tokens, call=call)
        )
        replace_folder(whole, folder)
    return folder


def check_diffusers_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but a pipeline for diffusers."""
    foreign = foreign_files(folder, OURS, made_here=_was_export)
    require(
        not foreign,
        f"{folder.absolute()}: not an export for diffusers ({', '.join(foreign[:3])}): name "
        "another",
    )


def _was_export(folder: Path) -> bool:
    index = folder / INDEX
    return index.is_file() and read_json(index).get("_class_name") == MODEL_INDEX["_class_name"]
