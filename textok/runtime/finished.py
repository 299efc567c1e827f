"""Whether a run is finished: by what its report and its model are, not by their being there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from textok.runtime.checkpoint import checkpoint_step, list_checkpoints
from textok.runtime.files import file_sha256, write_text
from textok.runtime.run_folder import RunFolder
from textok.runtime.untrusted import regular_file

NOTE = "finished.json"


def finish_run(folder: RunFolder, *, step: int) -> None:
    """Note that report and model are those of ``step``, the last one; written after both.

    Of a run that had gone further before it was told to end at ``step``, of its newest checkpoint.
    """
    reached = max([step, *map(checkpoint_step, list_checkpoints(folder.checkpoints))])
    note = {"step": reached, "sha256": _digests(folder)}
    write_text(folder.root / NOTE, json.dumps(note, indent=1) + "\n", flush=True)


def is_finished(folder: RunFolder, *, step: int) -> bool:
    """Whether report and model are there, whole, and those of ``step``.

    A run that was finished before there was such a note is, where its report ends with that step.
    """
    path = folder.root / NOTE
    if not path.exists():
        return _was_finished(folder, step)
    try:
        note = json.loads(regular_file(path).read_text(encoding="utf-8"))
        return bool(note["step"] >= step and note["sha256"] == _digests(folder))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def reopen_run(folder: RunFolder) -> None:
    """Take the note back, before anything of the run changes."""
    (folder.root / NOTE).unlink(missing_ok=True)


def _digests(folder: RunFolder) -> Mapping[str, str]:
    """Of the report and of every file of the model."""
    files = [folder.report, *sorted(p for p in folder.model.rglob("*") if p.is_file())]
    return {_name(path, folder.root): file_sha256(path) for path in files}


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _was_finished(folder: RunFolder, step: int) -> bool:
    try:
        report = regular_file(folder.report).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return f"| step {step} |" in report and folder.model.is_dir() and any(folder.model.iterdir())
