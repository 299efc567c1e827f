"""One run, one folder: its places, and which settings may change when it is continued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textok.config.read import load_config, to_yaml
from textok.config.resume import changeable
from textok.runtime.checkpoint import list_checkpoints
from textok.runtime.files import discard_leftovers, write_text


@dataclass(frozen=True)
class RunFolder:
    """Where everything of a run lies."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved settings."""
        return self.root / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def sheets(self) -> Path:
        return self.root / "sheets"

    @property
    def model(self) -> Path:
        """The latest averaged weights, ready for ``from_pretrained``."""
        return self.root / "model"

    @property
    def report(self) -> Path:
        return self.root / "report.md"

    def bad_files(self, rank: int) -> Path:
        """What process ``rank`` could not read of the data."""
        return self.root / (f"bad-files-{rank}.txt" if rank else "bad-files.txt")

    @property
    def text_cache(self) -> Path:
        return self.root / "text-cache"

    def check(self, config: Any) -> None:
        """Refuse to resume with settings that the checkpoints were not made with.

        Raises ValueError naming the first one that differs and may not.
        """
        if not self.config.exists() or not list_checkpoints(self.checkpoints):
            return
        stored = dict(_leaves(asdict(load_config(type(config), [self.config]))))
        free = changeable(type(config))
        for name, value in _leaves(asdict(config)):
            if name not in free and stored[name] != value:
                raise ValueError(
                    f"{self.root} was started with {name} = {stored[name]!r}, not {value!r}: "
                    f"set it back to continue that run, or choose another run.out"
                )

    def open(self, config: Any) -> None:
        """Create the folders, clear what a killed process left half done, store the settings."""
        try:
            for folder in (self.root, self.checkpoints, self.sheets):
                folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"run.out: {self.root} cannot be a folder: {error}") from None
        for folder in (self.root, self.checkpoints):
            discard_leftovers(folder)
        write_text(self.config, to_yaml(config))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
