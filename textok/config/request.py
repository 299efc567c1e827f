"""What images were asked for: written into each, so that it can be generated again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textok.config.bundled import BUNDLED
from textok.config.check import require, require_range, require_text
from textok.config.decoding import DecodingConfig
from textok.config.generator import SamplingConfig

CHARACTERS = 10_000
"""Of a prompt or caption; text encoders read some hundred."""


def check_words(what: str, texts: Sequence[str]) -> None:
    """Raise ValueError for a text that is too long."""
    for number, text in enumerate(texts, 1):
        name = f"{what} {number}" if len(texts) > 1 else what
        require(
            len(text) <= CHARACTERS,
            f"{name} has {len(text):,} characters: at most {CHARACTERS:,} are read",
        )


@dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """Of which classes, how many, from which seed."""

    classes: tuple[str, ...] = ()
    """Names of classes, for a model that generates by class."""
    num_images: int = 4
    """Images of each prompt or class."""
    seed: int = 0
    """Of the first image of each; the next has the next."""
    negative: str = ""
    """Prompt or class that guidance leads away from."""
    batch_size: int = 16
    """Images at once; other batches may differ in rounding."""

    def __post_init__(self) -> None:
        require_range("num_images", self.num_images, 1, 1_000_000)
        require_range("seed", self.seed, 0, 2**63 - self.num_images)
        require_range("batch_size", self.batch_size, 1, 65_536)
        check_words("the negative prompt", (self.negative,))


@dataclass(frozen=True, kw_only=True)
class Request(PicturesConfig):
    """Images for prompts, or for classes."""

    model: str = BUNDLED
    """The bundled 'products', a pipeline folder or a hub name."""
    prompts: tuple[str, ...] = ()
    """What to generate; an empty prompt generates anything."""
    captions: tuple[str, ...] = ()
    """Read by the tokenizer's decoder instead of the prompt: one for all, one for each, or none."""
    sampling: SamplingConfig | None = None
    """None: the model's own."""
    decoding: DecodingConfig | None = None
    """Of a decoder that samples; None: the tokenizer's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("prompt", self.prompts)
        check_words("caption", self.captions)
        require_text("a prompt", *self.prompts, self.negative)
        require_text("a class", *self.classes)
        require_text("a caption", *self.captions)
        count = len(self.prompts + self.classes)
        require(count > 0, "nothing to generate: give a prompt, --prompts FILE or --class NAME")
        require(not (self.prompts and self.classes), "prompts and --class: give one of them")
        require(
            len(self.captions) in (0, 1, count),
            f"{len(self.captions)} captions for {count} prompts or classes: give one, or one each",
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        """The prompts, or the classes."""
        return self.prompts or self.classes

    def part(self, first: int, last: int) -> Request:
        """The same for the prompts or classes from ``first`` to before ``last``."""
        rows = slice(first, last)
        captions = self.captions if len(self.captions) < 2 else self.captions[rows]
        return replace(
            self, prompts=self.prompts[rows], classes=self.classes[rows], captions=captions
        )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a file was generated from: the note inside it."""

    textok: str
    """Version of textok."""
    request: Request
    picture: int | None = None
    """Number of the file's image; None for a sheet of all."""
    start: int = 0
    """Number of the first image of its batch."""

    def __post_init__(self) -> None:
        if self.picture is not None:
            count = len(self.request.conditions) * self.request.num_images
            require_range("start", self.start, 0, self.picture)
            require_range("picture", self.picture, 0, count - 1)
