"""What a run measured: one JSON line a logged step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textok.runtime.files import named_errors, write_text
from textok.runtime.untrusted import regular_file

LOG = "log.jsonl"


def _quiet(message: str) -> None:
    del message


class RunLog:
    """Appends to the log of a run that goes on from ``step``; what was logged later is forgotten.

    So the log of a run that was killed and continued reads as if nothing had happened.
    """

    def __init__(self, root: Path, *, step: int) -> None:
        kept = [line for line in read_log(root, say=print) if line["step"] <= step]
        write_text(root / LOG, "".join(json.dumps(line) + "\n" for line in kept))
        self._path = root / LOG
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log scalars after ``step`` steps; one that is not finite becomes null in the file."""
        line = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with named_errors(self._path):
            self._file.write(json.dumps({"step": step, **line}) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_log(root: Path, *, say: Callable[[str], None] = _quiet) -> list[dict[str, Any]]:
    """The logged steps of a run, oldest first; a last line cut short by a kill is left out.

    Lines that a power cut or a disk damaged are left out too, and counted through ``say``.
    """
    path = root / LOG
    if not path.exists():
        return []
    lines = regular_file(path).read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    read = [_logged(line) for line in lines]
    damaged = sum(line is None for line in read)
    if damaged:
        say(f"{path}: {damaged} damaged lines are left out")
    return [line for line in read if line is not None]


def _logged(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(values, dict) and isinstance(values.get("step"), int)
    return values if known and all(_is_number(value) for value in values.values()) else None


def _is_number(value: object) -> bool:
    """Whether it can be drawn in a curve: JSON has whole numbers that no float holds."""
    whole = isinstance(value, int) and abs(value) < 2**63
    return value is None or whole or isinstance(value, float)
