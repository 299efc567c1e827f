"""The results of captioning, append-only: one line an image, whole or not there."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from textok.caption.answer import Failure
from textok.config.caption import ShardConfig
from textok.config.check import require
from textok.data.caption_files import PATTERN, caption_lines
from textok.runtime.files import named_errors, write_text
from textok.runtime.pretrained import read_json

SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one attempt at an image came to."""

    key: str
    captions: Sequence[str] = ()
    failures: Sequence[Failure] = ()
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(kw_only=True)
class Known:
    """What all files hold."""

    captions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Captions of each key."""
    failed: set[str] = field(default_factory=set)
    """Keys of which the last attempt lacked a caption."""
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class CaptionStore:
    """Appends to the file of one shard and knows what is in all.

    Raises, when entered, ValueError for a file that another process writes.
    """

    def __init__(self, folder: Path, shard: ShardConfig) -> None:
        part = f"-{shard.number}-of-{shard.count}" if shard.count > 1 else ""
        self.shard = shard
        self.path = folder / f"captions{part}.jsonl"
        self.known = Known()
        self._handle = -1

    def __enter__(self) -> CaptionStore:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise ValueError(
                f"{self.path} is being written by another process: wait for it, or share the work "
                "with --shard 0/2 and --shard 1/2"
            ) from None
        try:
            self._drop_half_line()
            for file in sorted(self.path.parent.glob(PATTERN)):
                self._read(file)
        except BaseException:
            os.close(self._handle)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._handle)

    def append(self, line: Line) -> None:
        """Add a line, with one write: a process killed afterwards loses nothing."""
        fields = {name: value for name, value in asdict(line).items() if value not in ((), [])}
        data = (json.dumps(fields, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        with named_errors(self.path):
            written = os.write(self._handle, data)
        if written != len(data):
            raise OSError(f"{self.path}: the disk took only a part of a line; make room on it")
        self._count(line.key, len(line.captions), bool(line.failures))
        self.known.tokens_in += line.tokens_in
        self.known.tokens_out += line.tokens_out

    def _read(self, file: Path) -> None:
        for fields in caption_lines(file):
            captions, failures = fields.get("captions", []), fields.get("failures", [])
            tokens = [fields.get(name, 0) for name in ("tokens_in", "tokens_out")]
            good = isinstance(captions, list) and all(isinstance(n, int) for n in tokens)
            require(good, f"{file}: the line of {fields['key']} is none of `textok caption`")
            self._count(fields["key"], len(captions), bool(failures))
            self.known.tokens_in += tokens[0]
            self.known.tokens_out += tokens[1]

    def _count(self, key: str, captions: int, failed: bool) -> None:
        self.known.attempts += 1
        self.known.captions[key] += captions
        (self.known.failed.add if failed else self.known.failed.discard)(key)

    def _drop_half_line(self) -> None:
        """Cut what a crash left of a last line; end one that an editor left without its break."""
        size = os.fstat(self._handle).st_size
        if not size:
            return
        with mmap.mmap(self._handle, 0, access=mmap.ACCESS_READ) as data:
            whole = data.rfind(b"\n") + 1
            last = data[whole:]
        if _is_object(last):
            os.write(self._handle, b"\n")
        else:
            os.truncate(self._handle, whole)


def agree(folder: Path, settings: Mapping[str, object]) -> None:
    """Keep the settings that captions depend on.

    Raises ValueError where others are kept, and for captions without any, which somebody else wrote
    and which would be added to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    # Looked for first: another process writes its settings before its captions.
    others = sorted(file.name for file in folder.glob(PATTERN))
    if not path.is_file():
        require(
            not others,
            f"{folder}: holds {', '.join(others[:3])}, which `textok caption` did not write (there "
            f"is no {SETTINGS}): name another folder",
        )
        write_text(path, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    kept = read_json(path)
    for name, value in settings.items():
        require(
            kept.get(name) == value,
            f"{path}: captions there are of {name} {_short(kept.get(name))}, not {_short(value)}: "
            "give the same, or another folder",
        )


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
