"""Models in the transformers format, from a folder or a hub repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.runtime.repository import split_revision

EDGE_BYTES = 1 << 20


def find_model_folder(
    name: str | Path, *, what: str, files: Sequence[str] = ("*.json",), weights: bool = True
) -> Path:
    """The folder ``name``, or the hub repository of that name, fetched if it is not here yet.

    Of a repository ``files`` and, with ``weights``, those too. Sub-folders are left out: they hold
    exports for other runtimes. Raises ValueError with ``what`` in front where neither is to be had,
    or it has no ``config.json``.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        parts = str(name).partition("@")[0].count("/") + 1
        local = folder.is_absolute() or str(name)[:1] in (".", "~", "") or parts > 2
        require(not local, f"{what}: there is no folder {name}")
        folder = _fetch(str(name), what, list(files), weights=weights)
    has_config = (folder / "config.json").is_file()
    require(has_config, f"{what}: {folder} has no config.json: not a model folder")
    return folder


def _fetch(name: str, what: str, files: list[str], *, weights: bool) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def download(patterns: list[str]) -> Path:
        found = snapshot_download(
            repo, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]
        )
        return Path(found)

    repo, revision = split_revision(name)
    try:
        folder = download([*files, "*.safetensors"] if weights else files)
        if weights and not any(folder.glob("*.safetensors")):
            folder = download(["pytorch_model*.bin"])
    except HFValidationError:
        raise ValueError(f"{what}: {name!r} is neither a folder nor a hub name") from None
    except (HfHubHTTPError, OSError) as error:
        require(
            not constants.HF_HUB_OFFLINE,
            f"{what}: HF_HUB_OFFLINE is set and no whole copy of {name} is on this machine: fetch "
            "it once with HF_HUB_OFFLINE=0, or name a folder",
        )
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{what}: there is no folder {name}, and the hub does not give it: {reason}"
        ) from None
    return folder


def model_digest(folder: Path) -> str:
    """A hex name of a model's configs, whole, and weights, by size, first and last MiB."""
    digest = hashlib.sha256()
    for pattern in ("*config.json", "*.safetensors", "*.bin"):
        for file in sorted(folder.glob(pattern)):
            size = file.stat().st_size
            digest.update(f"{file.name} {size} ".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(EDGE_BYTES))
                stream.seek(max(0, size - EDGE_BYTES))
                digest.update(stream.read())
    return digest.hexdigest()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from reporting the heads we leave out; its settings come back after."""
    import transformers

    settings: Any = transformers.utils.logging
    verbosity, bar = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bar:
            settings.enable_progress_bar()
