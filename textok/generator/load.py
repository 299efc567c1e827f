"""Any generator from its folder."""

from __future__ import annotations

from pathlib import Path

from textok.generator.dit import DiT
from textok.generator.maskgit import MaskGIT
from textok.generator.token_generator import TokenGenerator
from textok.runtime.pretrained import CONFIG, find_folder, read_json


def load_generator(source: str | Path) -> TokenGenerator:
    """Load a folder or a hub repository of any kind of generator, in float32 and eval mode.

    Raises ValueError naming the file, key or setting that does not fit.
    """
    folder = find_folder(source, part="generator")
    path = folder / CONFIG
    kind = MaskGIT if path.is_file() and MaskGIT.kind in read_json(path) else DiT
    return kind.from_pretrained(folder)
