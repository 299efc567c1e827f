"""Where a table that the user names lies, and where its pictures do."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.folder import find_files, is_image
from textok.data.pictures import PictureFiles
from textok.data.table import Table


def open_table(config: SourceConfig, path: Path, folder: Path) -> tuple[Table, PictureFiles]:
    """The table and the pictures of the data set at ``path``, of its split at ``folder``.

    Relative names are looked for in the split first. Without ``images`` the pictures lie anywhere
    below the split.

    Raises:
        ValueError: no such table or folder; names the closest one.
    """
    root = _first(config.images, folder, path, is_folder=True) if config.images else folder
    table = Table(
        path=_first(config.table, folder, path, is_folder=False),
        image_column=config.image_column,
        caption_columns=config.caption_columns,
        captions_needed=True,
        delimiter=config.delimiter,
        anywhere=True,
    )
    names = [name for name in find_files(root) if is_image(name)]
    require(bool(names), f"{root} has no images; name their folder with data.images")
    return table, PictureFiles(root=root, names=names)


def _first(name: str, *folders: Path, is_folder: bool) -> Path:
    """The first that is there; ``name`` itself where it is absolute."""
    places = [folder / Path(name).expanduser() for folder in folders]
    for place in places:
        if place.is_dir() if is_folder else place.is_file():
            return place
    setting, kind = ("data.images", "folder") if is_folder else ("data.table", "file")
    parent = places[-1].parent
    there = [p.name for p in parent.iterdir() if p.is_dir() == is_folder] if parent.is_dir() else []
    close = get_close_matches(Path(name).name, there, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else f"; {parent} has {_some(there)}"
    raise ValueError(f"{setting} {name}: no such {kind} in {folders[-1]}{hint}")


def _some(names: list[str]) -> str:
    shown = sorted(name for name in names if not name.startswith("."))
    return ", ".join(shown[:5] + (["..."] if len(shown) > 5 else [])) or "none"
