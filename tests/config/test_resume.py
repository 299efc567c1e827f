"""Which settings may change when a run is resumed: exactly those that their fields mark."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from textok.config import (
    DataConfig,
    RunConfig,
    TextConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.read import load_config
from textok.config.resume import changeable
from textok.runtime import run_folder
from textok.runtime.run_folder import RunFolder

RUN = {
    f"run.{name}"
    for name in (
        *("accumulate", "compile", "grad_checkpointing", "keep", "log_every", "max_bad_steps"),
        *("out", "save_every", "save_minutes", "shard", "sheet_every", "steps", "validate_every"),
        *("project", "publish_training_state", "tracker", "validate_images", "wait_minutes"),
    )
}
DATA = {
    f"data.{name}"
    for name in (
        *("allow_changed", "allow_uncaptioned", "cache", "captions", "class_captions", "images"),
        *("max_bad_share", "path", "table", "workers"),
    )
}
LATENTS = {"latents.path", "latents.verify", "prompts", "fd_images"}
FRECHET = {"loss.frechet.statistics"}
POST_TRAINING = {"frechet.statistics", *(f"frechet.{name}" for name in DATA)}
TEXT = {"text.cache", "text.shard", "text.store"}
SAMPLING = {
    f"sampling.{name}"
    for name in (
        *("guidance.form", "guidance.guide", "guidance.high", "guidance.low", "guidance.power"),
        *(
            "guidance.scale",
            "guidance.schedule",
            "sampler",
            "softmax_annealing",
            "steps",
            "temperature",
        ),
        "time_shift",
    )
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (TrainTokenizerConfig, RUN | DATA | TEXT | FRECHET),
        (TrainVQGANConfig, RUN | DATA | FRECHET),
        (TrainGeneratorConfig, RUN | TEXT | SAMPLING | LATENTS | POST_TRAINING),
        (TrainMaskGITConfig, RUN | TEXT | SAMPLING | LATENTS),
    ],
)
def test_these_and_no_others_may_change(settings: type[Any], expected: set[str]) -> None:
    assert changeable(settings) == expected


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def changed(settings: Any, name: str, value: object) -> Any:
    """``settings`` with another value, unchecked, of the setting with this dotted name."""
    first, _, rest = name.partition(".")
    new = changed(getattr(settings, first), rest, value) if rest else value
    copy = replace(settings)
    object.__setattr__(copy, first, new)
    return copy


@pytest.mark.parametrize(
    "settings", [TrainTokenizerConfig, TrainVQGANConfig, TrainGeneratorConfig, TrainMaskGITConfig]
)
def test_every_other_setting_is_refused_by_its_name(
    settings: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, started = RunFolder(tmp_path), settings()
    folder.open(started)
    stored = cache(lambda kind, path: load_config(kind, [path]))  # read once, not for each name
    monkeypatch.setattr(run_folder, "load_config", lambda kind, paths: stored(kind, *paths))
    (folder.checkpoints / "step-00000001").mkdir()
    names = leaves(asdict(started))
    free = changeable(settings)
    assert free < set(names) and len(set(names) - free) > 20
    for name in names:
        other = changed(started, name, "another value")
        if name in free:
            folder.check(other)
        else:
            with pytest.raises(ValueError, match=rf" was started with {re.escape(name)} = "):
                folder.check(other)


def test_a_default_that_may_change_is_a_plain_default() -> None:
    assert RunConfig().steps == 500_000 and RunConfig().out == ""
    assert DataConfig().cache == "none" and TextConfig().store == "exact"
