"""One run, one folder: its places, and which settings may change when it is continued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from textok.config.read import load_config, read_yaml, to_yaml
from textok.config.renamed import with_new_names
from textok.config.resume import changeable
from textok.runtime.checkpoint import list_checkpoints
from textok.runtime.files import discard_leftovers, write_text
from textok.runtime.own_folder import OwnFolder
from textok.runtime.untrusted import regular_file


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
    def fingerprint(self) -> Path:
        """What is trained on: keys, digests of captions, classes and sizes."""
        return self.root / "data-fingerprint.json.gz"

    @property
    def text_cache(self) -> Path:
        return self.root / "text-cache"

    def check(self, config: Any) -> None:
        """Refuse to resume with settings that the checkpoints were not made with.

        Raises ValueError naming the first one that differs and may not.
        """
        self._own.check_content()
        if not self.begun or not self.config.exists():
            return
        stored = dict(_leaves(asdict(self._stored(type(config)))))
        free = changeable(type(config))
        for name, value in _leaves(asdict(config)):
            if name not in free and stored[name] != value:
                raise ValueError(
                    f"{self.root} was started with {name} = {stored[name]!r}, not {value!r}: "
                    f"set it back to continue that run, or choose another run.out"
                )

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint that a training could go on from."""
        return bool(list_checkpoints(self.checkpoints))

    def changes(self, config: Any, names: Iterable[str]) -> list[tuple[str, Any, Any]]:
        """Which of the settings ``names`` the run was begun with otherwise: name, then, now."""
        if not self.config.exists():
            return []
        then = dict(_leaves(asdict(self._stored(type(config)))))
        now = dict(_leaves(asdict(config)))
        found = [(name, then[name], now[name]) for name in names if name in now]
        return [(name, before, after) for name, before, after in found if before != after]

    def claim(self) -> None:
        """Create the folder and mark it. Raises ValueError where something else lies there."""
        self._own.claim()

    def open(self, config: Any) -> None:
        """Create the folders, clear what a killed process left half done, store the settings."""
        self.claim()
        for folder in (self.checkpoints, self.sheets):
            folder.mkdir(exist_ok=True)
        for folder in (self.root, self.checkpoints):
            discard_leftovers(folder)
        write_text(self.config, to_yaml(config), flush=True)

    @property
    def _own(self) -> OwnFolder:
        return OwnFolder(path=self.root, kind="a run", setting="run.out", made_before=_was_a_run)

    def _stored(self, kind: type[Any]) -> Any:
        """The settings of the interrupted run. Raises ValueError for a damaged file."""
        text = regular_file(self.config).read_bytes()
        if not text.strip(b"\0 \n"):
            raise ValueError(
                f"{self.config} is empty, as a power cut leaves a file: delete it to go on from "
                "the checkpoints with the settings that are given"
            )
        groups = [one.name for one in fields(kind)]
        foreign = with_new_names(kind, read_yaml(self.config)).keys() - groups
        if foreign:
            raise ValueError(
                f"{self.root} holds a run of another command, or of a newer textok: its "
                f"{self.config.name} has '{min(foreign)[:100]}'; choose another run.out"
            )
        return load_config(kind, [self.config])


def _was_a_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "checkpoints").is_dir()


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
