"""Whatever lies where a file should: it is read, or refused in one line that names it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import examples
from tests.fuzz.hostile import damaged, json_file, lines_file, safetensors_file
from tests.fuzz.outcome import told
from tests.fuzz.readers import READERS, Reader
from textok.pipeline import TextToImage

FILES = [(name, file) for name, reader in READERS.items() for file in reader.files]
Made = Callable[[str], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The folder of a reader's whole files, written once. Nothing is drawn."""

    def from_pretrained(*_: object, **__: object) -> TextToImage:
        raise ValueError("drawn.png or prompts.txt has been read")

    @cache
    def make(name: str) -> Path:
        root = tmp_path_factory.mktemp("whole")
        READERS[name].make(root)
        READERS[name].read(root) if name not in NO_MODEL else None
        return root

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextToImage, "from_pretrained", from_pretrained)
        yield make


NO_MODEL = ("drawn picture", "prompts", "official safetensors", "official pickle", "lpips")
"""What cannot be read to the end."""


def judged(reader: Reader, root: Path, file: str) -> str:
    """What is said of the damaged ``file``; it is named if anything is said."""
    line = told(lambda: reader.read(root))
    path = root / file
    assert not line or path.name in line or str(path.parent) in line, line
    return line


def content(path: Path) -> st.SearchStrategy[bytes]:
    """What may lie there in place of a file."""
    whole = path.read_bytes()
    match path.suffix:
        case ".json":
            return json_file(json.loads(whole))
        case ".jsonl":
            return lines_file([json.loads(line) for line in whole.splitlines()])
        case ".safetensors":
            return safetensors_file(whole)
    return damaged(whole) | st.binary(max_size=40)


@examples(12)
@given(data=st.data())
@pytest.mark.parametrize(("name", "file"), FILES, ids=lambda part: part)
def test_damaged_files(name: str, file: str, data: st.DataObject, made: Made) -> None:
    root = made(name)
    whole = (root / file).read_bytes()
    wrong = data.draw(_content(root / file))
    (root / file).write_bytes(wrong)
    try:
        line = judged(READERS[name], root, file)
        assert not (READERS[name].silent and line), line
    finally:
        (root / file).write_bytes(whole)


_contents: dict[Path, Any] = {}


def _content(path: Path) -> st.SearchStrategy[bytes]:
    if path not in _contents:
        _contents[path] = content(path)
    return _contents[path]


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "device", "empty", "loop"])
@pytest.mark.parametrize(("name", "file"), FILES, ids=lambda part: part)
def test_what_is_no_file(name: str, file: str, kind: str, made: Made) -> None:
    root, aside = made(name), made(name) / "aside"
    path = root / file
    path.rename(aside)
    try:
        match kind:
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "empty":
                path.touch()
            case "loop":
                path.symlink_to(path.name)
        judged(READERS[name], root, file)
    finally:
        shutil.rmtree(path) if kind == "folder" and path.is_dir() else path.unlink(missing_ok=True)
        aside.rename(path)
