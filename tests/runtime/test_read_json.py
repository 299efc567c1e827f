"""JSON that cannot be read is one line that names the file, wherever it is met."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from textok.data.caption_files import read_captions
from textok.data.class_captions import read_class_captions
from textok.evaluate.generation_report import read_generation_report
from textok.evaluate.report import read_report
from textok.latents.file import load_latents
from textok.latents.index import read_index
from textok.runtime.pretrained import read_config, read_json
from textok.text.folder import find_text_model

HOSTILE = {
    "number": '{"a": ' + "9" * 5000 + "}",
    "nested": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "cut": '{"a": [',
    "binary": "\x00\x01",
}


def read_split(path: Path) -> object:
    return read_index(path.parent)


def read_text_model(path: Path) -> object:
    return find_text_model(str(path.parent))


@pytest.mark.parametrize("kind", list(HOSTILE))
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("config.json", lambda path: read_config(path, "tokenizer")),
        ("pipeline.json", read_json),
        ("classes.json", read_class_captions),
        ("captions.jsonl", read_captions),
        ("index.json", read_split),
        ("config.json", read_text_model),
        ("report.json", read_report),
        ("report.json", read_generation_report),
    ],
)
def test_it_is_one_line_with_the_file(tmp_path: Path, kind: str, name: str, read) -> None:
    path = tmp_path / name
    path.write_text(HOSTILE[kind] + "\n")
    with pytest.raises(ValueError, match=str(path)) as error:
        read(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_so_it_is_inside_latents(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"mean": torch.zeros(1, 1, 1)}, path, {"captions": HOSTILE[kind]})
    with pytest.raises(ValueError, match=r"a\.safetensors: not a file of latents"):
        load_latents(path)
