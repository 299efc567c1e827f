"""What a vision-language model is asked for, through which door, and within which budget."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from textok.config.check import require, require_range
from textok.config.data import MOST_AT_ONCE

Detail = Literal["short", "medium", "long"]

PROMPTS: dict[Detail, str] = {
    "short": (
        "Write one plain sentence of at most 15 words that says what this picture shows. Begin "
        "with the main subject. Answer with the sentence alone."
    ),
    "medium": (
        "Describe this picture in 25 to 40 words: the main subject first, then its colours and "
        "pose, the background and the kind of picture. State only what can be seen. Answer with "
        "the description alone, in one paragraph."
    ),
    "long": (
        "Describe this picture in 60 to 75 words: the main subject first, then the parts, colours, "
        "materials and numbers of things, where they are to each other, background, light, "
        "viewpoint and the kind of picture. State only what can be seen, and copy any readable "
        "words. Answer with the description alone, in one paragraph."
    ),
}
"""What is asked of the model beside the image."""


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """What is asked for, of whom, and what counts as a caption."""

    model: str
    """Name of the endpoint's model; without an endpoint a folder or hub name."""
    detail: Detail = "medium"
    """How much a caption tells: a sentence, some 30 words, some 70 words."""
    prompt: str = ""
    """What to ask instead of the prompt of ``detail``."""
    captions_per_image: int = 1
    """Each is asked for on its own."""
    image_size: int = 512
    """The model sees images with a longer side of at most this many pixels."""
    temperature: float | None = None
    """Of sampling; None: the model's own."""
    max_tokens: int = 300
    """An answer is cut there, and then is no caption."""
    max_words: int = 120
    """A longer answer is no caption."""

    def __post_init__(self) -> None:
        require(self.model != "", "--model is empty: name the vision-language model")
        require_range("--captions-per-image", self.captions_per_image, 1)
        require_range("--image-size", self.image_size, 1)
        require_range("--temperature", self.temperature or 0, 0)
        require_range("--max-tokens", self.max_tokens, 1)
        require_range("--max-words", self.max_words, 1)

    @property
    def words(self) -> str:
        """What the model reads beside the image."""
        return self.prompt or PROMPTS[self.detail]


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """An OpenAI-compatible server and how hard it is leant on."""

    url: str = ""
    """Address of the server, up to /v1; empty: the model runs in this process."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; no key is sent where it is not set."""
    concurrency: int = 8
    """Images asked for at once."""
    per_minute: float = 0
    """Requests a minute at most; 0: no limit."""
    timeout: float = 120
    """Seconds until an answer is given up."""
    retries: int = 5
    """Further attempts of a request that failed by the server's fault."""

    def __post_init__(self) -> None:
        good = not self.url or self.url.startswith(("http://", "https://"))
        require(good, f"--endpoint {self.url}: it must start with http:// or https://")
        require_range("--concurrency", self.concurrency, 1, 1024)
        require_range("--per-minute", self.per_minute, 0)
        require_range("--timeout", self.timeout, 0, open_low=True)
        require_range("--retries", self.retries, 0)


@dataclass(frozen=True, kw_only=True)
class LocalConfig:
    """A transformers model in this process."""

    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""
    batch_size: int = 8
    """Captions written at once."""

    def __post_init__(self) -> None:
        require_range("--batch-size", self.batch_size, 1, MOST_AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """Where to stop."""

    max_images: int | None = None
    """Images asked for in this run."""
    max_cost: float | None = None
    """Of all that was asked for into one folder, in the currency of the prices."""
    price_in: float = 0
    """Of a million tokens that the model reads."""
    price_out: float = 0
    """Of a million tokens that it writes."""

    def __post_init__(self) -> None:
        require_range("--max-images", 1 if self.max_images is None else self.max_images, 1)
        require_range("--max-cost", self.max_cost or 0, 0)
        require_range("--price-in", self.price_in, 0)
        require_range("--price-out", self.price_out, 0)
        require(
            self.max_cost is None or self.priced,
            "--max-cost needs --price-in and --price-out to count",
        )

    @property
    def priced(self) -> bool:
        """Whether tokens cost anything."""
        return self.price_in + self.price_out > 0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Of so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Part ``number`` of ``count`` of the images: those whose keys fall to it."""

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        require_range("--shard", self.number, 0, self.count - 1)

    def has(self, key: str) -> bool:
        """Whether an image is of this part; which it is stays the same when images are added."""
        return zlib.crc32(key.encode("utf-8", "replace")) % self.count == self.number

    @classmethod
    def read(cls, text: str) -> ShardConfig:
        """Read ``0/2``: the first of two."""
        number, slash, count = text.partition("/")
        good = slash and number.isdecimal() and count.isdecimal() and int(count) > 0
        require(bool(good), f"--shard {text}: write 0/2 for the first of two, 1/2 for the second")
        return cls(number=int(number), count=int(count))
