"""What `textok push` is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textok.config.check import require


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the hub shows of a model and textok cannot know; what is not given stays as it is."""

    license: str | None = None
    """Of the weights, by the hub's names: apache-2.0, mit, cc-by-nc-4.0, ..."""
    datasets: tuple[str, ...] = ()
    """Hub names of the data that it was trained on."""
    base_model: tuple[str, ...] = ()
    """Hub names of the models that it was made from."""
    language: tuple[str, ...] = ()
    """Of its captions, as in en."""
    tags: tuple[str, ...] = ()
    """More words that it is found by."""

    def __post_init__(self) -> None:
        named = (self.license, *self.datasets, *self.base_model, *self.language, *self.tags)
        for one in named:
            require(one is None or bool(one.strip()), "card: an empty name: leave it out")


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """All of ``textok push``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("model", "repo")
    ALIASES: ClassVar[dict[str, str]] = {
        "license": "card.license",
        "datasets": "card.datasets",
        "base-model": "card.base_model",
        "language": "card.language",
        "tags": "card.tags",
    }

    model: Path
    """Folder of a model: a pipeline, tokenizer, generator or VQGAN, or an export for diffusers."""
    repo: str
    """Hub repository, user/name; made if there is none."""
    reports: tuple[Path, ...] = ()
    """Folders that `textok evaluate` wrote: uploaded too, their metrics shown on the card."""
    private: bool = False
    """Make a repository that its owner alone can see."""
    revision: str | None = None
    """A branch, made if there is none; main without it."""
    token: str | None = field(default=None, repr=False)
    """Of the hub, with write access, instead of HF_TOKEN in the environment; not stored or shown.
    Other users of this machine may see it among the running commands: HF_TOKEN is safer."""
    card: CardFacts = field(default_factory=CardFacts)

    def __post_init__(self) -> None:
        user, _, name = self.repo.partition("/")
        whole = bool(user) and bool(name) and not {"/", "@"} & set(name)
        require(whole, f"repo is '{self.repo}': make it user/name, a branch goes to --revision")
