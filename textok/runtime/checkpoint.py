"""Checkpoints: nested state as safetensors and JSON, written whole, verified when read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from textok.runtime.files import (
    WRITING,
    apply_umask,
    file_sha256,
    named_errors,
    remove_folder,
    replace_folder,
    sync,
)
from textok.runtime.untrusted import regular_file

TENSORS, STRUCTURE = "state.safetensors", "state.json"

State = dict[str, Any]
"""Nested dicts (keys str or int) and lists of tensors, numbers, strings and None."""


class Stateful(Protocol):
    """Whatever goes into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


class DamagedCheckpoint(OSError):
    """A checkpoint that is incomplete or fails its checksum."""


def save_checkpoint(root: Path, step: int, state: State, *, keep: int) -> Path:
    """Write ``root/step-XXXXXXXX`` atomically, then delete all but the ``keep`` newest up to it.

    Later ones are damaged, or the run would have gone on from them: they do not count. Tensors are
    copied to the CPU; tuples come back as lists.
    """
    tensors: dict[str, Tensor] = {}
    structure = _flatten(state, "state", tensors)
    target = root / f"step-{step:08d}"
    writing = root / f"{WRITING}{target.name}"
    shutil.rmtree(writing, ignore_errors=True)
    with named_errors(target):
        writing.mkdir(parents=True)
        save_file(tensors, writing / TENSORS)
        apply_umask(writing / TENSORS)
        text = json.dumps(structure)
        record = {
            "step": step,
            "sha256": {TENSORS: file_sha256(writing / TENSORS), "state": _text_digest(text)},
            "state": structure,
        }
        (writing / STRUCTURE).write_text(json.dumps(record), encoding="utf-8")
        for path in (writing / TENSORS, writing / STRUCTURE, writing):
            sync(path)
        replace_folder(writing, target)
    up_to_it = [path for path in list_checkpoints(root) if checkpoint_step(path) <= step]
    for old in up_to_it[:-keep]:
        remove_folder(old)
    return target


def load_checkpoint(folder: Path) -> State:
    """Read one checkpoint. Raises DamagedCheckpoint, naming the folder and what is wrong."""
    try:
        record = json.loads(regular_file(folder / STRUCTURE).read_text(encoding="utf-8"))
        expected = record["sha256"]
        if _text_digest(json.dumps(record["state"])) != expected["state"]:
            raise DamagedCheckpoint(f"checkpoint {folder} is damaged: checksum of {STRUCTURE}")
        if file_sha256(regular_file(folder / TENSORS)) != expected[TENSORS]:
            raise DamagedCheckpoint(f"checkpoint {folder} is damaged: checksum of {TENSORS}")
        state: State = _restore(record["state"], load_file(folder / TENSORS))
    except DamagedCheckpoint:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {reason}") from error
    return state


def load_newest(root: Path, *, say: Callable[[str], None]) -> tuple[int, State] | None:
    """The step and state of the newest good checkpoint, None if there is none.

    Each damaged one that is passed over is named through ``say``.
    """
    for folder in reversed(list_checkpoints(root)):
        try:
            return checkpoint_step(folder), load_checkpoint(folder)
        except DamagedCheckpoint as error:
            say(f"{error}; passed over")
    return None


def list_checkpoints(root: Path) -> list[Path]:
    """All checkpoint folders under ``root``, oldest first, good or not.

    Others that a user keeps there, as ``step-best``, are left alone.
    """
    found = (path for path in root.glob("step-*") if re.fullmatch(r"step-\d+", path.name))
    return sorted(path for path in found if path.is_dir())


def checkpoint_step(folder: Path) -> int:
    """The step in a checkpoint folder's name."""
    return int(folder.name.removeprefix("step-"))


def _flatten(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for ``node``: a container becomes a one-key object, so that nothing is ambiguous."""
    if isinstance(node, Tensor):
        assert path not in tensors, f"two tensors at {path}"
        tensors[path] = node.detach().cpu().contiguous().clone()
        return {"tensor": path}
    if isinstance(node, Mapping):
        return {"map": [[k, _flatten(v, f"{path}/{k}", tensors)] for k, v in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_flatten(v, f"{path}/{i}", tensors) for i, v in enumerate(node)]}
    assert node is None or isinstance(node, str | int | float), f"{type(node)} at {path}"
    return node


def _restore(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "map":
        return {key: _restore(value, tensors) for key, value in content}
    return [_restore(value, tensors) for value in content]


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
