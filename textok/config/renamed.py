"""Settings that once had another name, by the class that has them.

Settings files and stored settings with an old name always load, silently. A flag of a name that
came to mean something else says so in one line, and goes with the version that is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textok.config.check import require


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """An old name of a setting and its name of today."""

    old: str
    new: str
    until: str = ""
    """Version in which the old flag goes, with a note until then; empty: it stays."""
    values: tuple[str, ...] = ()
    """Where the old name means another setting today: the words by which the old one is told."""
    also: Mapping[str, object] = field(default_factory=dict)
    """What the old setting set besides; where it has some, an empty old value set nothing."""


_CAPTION_FILES = Renamed(old="caption_files", new="data.captions", until="0.3")

RENAMED: dict[str, tuple[Renamed, ...]] = {
    "RunConfig": (Renamed(old="wandb", new="project", also={"tracker": "wandb"}),),
    "TrainTokenizerConfig": (Renamed(old="vqgan", new="vqgan_path"),),
    "EvaluateReconstructionConfig": (
        _CAPTION_FILES,
        Renamed(
            old="captions",
            new="caption_modes",
            until="0.3",
            values=("true", "plain", "absent", "shuffled"),
        ),
    ),
    "EvaluateGenerationConfig": (
        _CAPTION_FILES,
        Renamed(old="captions", new="caption_mode", until="0.3", values=("true", "plain")),
    ),
}


def with_new_names(settings: type, mapping: Mapping[str, object]) -> dict[str, object]:
    """``mapping`` of a settings class, by the names of today.

    Raises ValueError where a setting has both names.
    """
    renamed = dict(mapping)
    for entry in RENAMED.get(settings.__name__, ()):
        if entry.old in renamed and not entry.values and "." not in entry.new:
            both = f"{entry.old} and {entry.new} are the same setting: leave out {entry.old}"
            require(entry.new not in renamed, both)
            value = renamed.pop(entry.old)
            if value or not entry.also:
                renamed |= {entry.new: value, **entry.also}
    return renamed
