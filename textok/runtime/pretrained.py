"""Models as folders or hub repositories: config.json, model.safetensors, perhaps a model card."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from textok.config.bundled import BUNDLED, FORMER
from textok.config.check import naming, require
from textok.config.networks import UNKNOWN
from textok.runtime.checksum import load_with_sum, order_metadata, sum_of
from textok.runtime.device import check_dtype
from textok.runtime.files import WRITING, apply_umask, named_errors, write_text
from textok.runtime.repository import fetch_repository, is_repository
from textok.runtime.untrusted import check_finite, draft, model_file, regular_file

M = TypeVar("M", bound=nn.Module)

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MODELS = {"tokenizer", "generator", "maskgit", "vqgan"}
"""The kinds of models: each config.json has a part of one of these names."""
PIPELINE = ("*.json", "*.safetensors", "*.md")
"""What a pipeline is made of, in its sub-folders too."""

TRAINED_WITH = "trained_with"
"""Part of config.json: the losses by pretrained networks that a tokenizer was trained against."""

ASKED_FOR = "the settings that are asked for (its own are in its config.json)"
"""What the weights of another model have to fit to be started from."""

MOST_JSON, MOST_CONFIG = 64_000_000, 4_000_000
"""Bytes of a JSON file, and of a model's config.json."""

ASSETS = Path(__file__).parents[1] / "assets"


def write_model(
    folder: str | Path,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    card: str | None = None,
    precision: torch.dtype | None = None,
) -> Path:
    """Write a model's folder, weights in ``precision`` or as they are.

    Each file is written under another name and renamed, so that a reader never sees half of one.
    The weights have their checksum with them. Raises ValueError for a ``precision`` that is no
    floating-point type, and where files of these names are there that are no such model's.
    """
    folder = Path(folder)
    if precision is not None:
        check_dtype(precision)
    _check_files(folder, (WEIGHTS, CONFIG) if card is None else (WEIGHTS, CARD, CONFIG))
    tensors = {
        key: value.detach().to("cpu", precision).contiguous() for key, value in state.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (
        named_errors(folder),
        tempfile.TemporaryDirectory(dir=folder, prefix=WRITING) as made,
    ):
        part = Path(made)
        with named_errors(folder / WEIGHTS):
            save_file(tensors, part / WEIGHTS, metadata=sum_of(tensors))
            order_metadata(part / WEIGHTS)
        apply_umask(part / WEIGHTS)
        if card is not None:
            write_text(part / CARD, card)
        write_text(part / CONFIG, json.dumps(config, indent=2) + "\n")
        for name in (WEIGHTS, CARD, CONFIG):
            if (part / name).exists():
                os.replace(part / name, folder / name)
    return folder


def _check_files(folder: Path, names: Sequence[str]) -> None:
    """Refuse to replace files of ``names`` in a folder that holds no model of ours."""
    there = [name for name in names if (folder / name).exists()]
    require(
        not there or (CONFIG in there and bool(MODELS & read_json(folder / CONFIG).keys())),
        f"{folder}: holds {', '.join(there)} of something else than a textok model: name another "
        "folder",
    )


def find_folder(
    source: str | Path,
    *,
    part: str | None = None,
    beside: str | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Path:
    """The local folder of a bundled name, a path or a hub repository (fetched once).

    Where that is a pipeline, the folder of its ``part`` ("tokenizer", "generator") if one is named
    for: a pipeline can be named wherever one of its models can. ``beside`` is a sub-folder to fetch
    in place of models. ``revision`` and ``token`` are of ``fetch_repository``; a repository may be
    named with its revision, ``user/name@revision``. Raises ValueError for a ``revision`` of what is
    no repository.
    """
    if beside is not None:
        return _find(source, (f"{beside}/*",), revision, token)
    patterns = PIPELINE if part is None else (CONFIG, WEIGHTS, CARD, f"{part}/*")
    folder = _find(source, patterns, revision, token)
    if part is None:
        return folder
    return folder / part if (folder / part / CONFIG).is_file() else folder


def _find(
    source: str | Path, patterns: Sequence[str], revision: str | None, token: str | None
) -> Path:
    name, path = str(source), Path(source)
    require(name != "", "the name of a model is empty: give a folder or a hub name")
    local = ASSETS / BUNDLED if name == BUNDLED else path
    if local.is_dir():
        require(revision is None, f"{source}: a folder, which has no revision '{revision}'")
        return local
    require(
        name not in FORMER,
        f"{source}: no longer bundled; name '{BUNDLED}', or a folder of your own training: "
        f"{FORMER.get(name)}",
    )
    require(
        is_repository(name),
        f"{source}: no such folder, bundled model ({BUNDLED}) or reachable hub "
        "repository; give a folder that textok wrote a model to",
    )
    return fetch_repository(name, patterns, revision=revision, token=token)


def read_json(path: Path, *, most: int = MOST_JSON) -> dict[str, Any]:
    """A JSON file of at most ``most`` bytes as a mapping.

    Raises ValueError for one that is missing, damaged, too large or nested too deeply.
    """
    try:
        text = regular_file(path, most=most).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    try:
        data = json.loads(text.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not JSON but some binary file; copy it again") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply; copy it again") from None
    except ValueError as error:  # of a number with thousands of digits
        raise ValueError(f"{path}: cannot be read ({error}); copy it again") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path}: not a mapping; copy it again")
    return data


def read_config(path: Path, kind: str) -> dict[str, Any]:
    """The parts of the ``config.json`` of a ``kind`` of model, which has a part of that name."""
    if not path.exists():
        raise ValueError(f"{path}: no such file; is {path.parent} a {kind} folder?")
    data = read_json(model_file(path), most=MOST_CONFIG)
    if kind not in data:
        raise ValueError(f"{path}: has no '{kind}' part; this is not a textok {kind}")
    return data


def read_trained_with(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The losses by pretrained networks, ``unknown`` where the folder does not name them.

    Raises ValueError for what is no list of names.
    """
    names = config.get(TRAINED_WITH, [UNKNOWN])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: {TRAINED_WITH} is {names!r}: make it a list of names")
    return tuple(names)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A safetensors file as float32.

    Raises ValueError for one that is missing or damaged, by its checksum too if it has one, and for
    numbers that are not finite.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file; the model's folder has no weights")
    try:
        state = load_with_sum(model_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or not safetensors ({error}); copy it again") from None
    check_finite(state, where=path)
    # A copy: the file may be changed while its tensors are in use.
    return {key: value.to(torch.float32, copy=True) for key, value in state.items()}


def restored(make: Callable[[], M], state: dict[str, Tensor], *, where: str | Path) -> M:
    """The network that ``make`` builds with the weights of ``state``, in eval mode.

    It has no memory of its own before its sizes are known to be those of ``state``, so that a
    config of huge sizes costs nothing, and takes the tensors of ``state`` as its weights. Raises
    ValueError naming a key that does not fit.
    """
    with naming(where):
        network = draft(make, state, where=str(where))
        expected = network.state_dict()
    check_state(expected, state, where=str(where))
    own = {key: value.to(expected[key].dtype).contiguous() for key, value in state.items()}
    network.load_state_dict(own, assign=True)
    left = [key for key, value in network.named_buffers() if value.is_meta]
    assert not left, f"buffers that no file has must be made outside __init__: {left}"
    return network.eval()


def rename_keys(state: dict[str, Tensor], old: Mapping[str, str], prefix: str = "") -> None:
    """Give keys that start with one of ``old``, after ``prefix``, the start that they have now."""
    for start, now in old.items():
        for key in [key for key in state if key.startswith(prefix + start)]:
            state[prefix + now + key.removeprefix(prefix + start)] = state.pop(key)


def accept_old_keys(module: nn.Module, old: Mapping[str, str]) -> None:
    """Let ``load_state_dict`` take keys of former names, as checkpoints of a training hold them."""
    module.register_load_state_dict_pre_hook(partial(_rename_on_load, old))


def _rename_on_load(
    old: Mapping[str, str], module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    rename_keys(state, old, prefix)


def check_state(
    expected: dict[str, Tensor], found: dict[str, Tensor], *, where: str, to: str = "its config"
) -> None:
    """Raise ValueError naming the first keys that are missing, unknown or of another shape.

    ``to`` says in words what asks for the ``expected`` ones.
    """
    problems = [f"missing {key}" for key in expected if key not in found]
    problems += [f"unknown {key}" for key in found if key not in expected]
    problems += [
        f"{key} is {tuple(found[key].shape)}, the config asks for {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"{where} does not fit {to}: {'; '.join(problems[:3])}{more}")
