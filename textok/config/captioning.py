"""What `textok caption` and `textok captions` are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textok.config.caption import (
    BudgetConfig,
    CaptionConfig,
    EndpointConfig,
    LocalConfig,
    ShardConfig,
)
from textok.config.check import require, require_range
from textok.config.data import FOR_TRAINING, DataConfig

UNREAD = (*FOR_TRAINING, "data.class_captions", "data.resize", "data.workers")
"""Settings of data that nothing here looks at."""


@dataclass(frozen=True, kw_only=True)
class CaptionImagesConfig:
    """All of ``textok caption``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (*UNREAD, "data.captions", "data.max_bad_share")
    ALIASES: ClassVar[dict[str, str]] = {"endpoint": "endpoint.url"}

    data: DataConfig = field(default_factory=DataConfig)
    out: Path
    """Folder of the captions; training reads it with --data.captions OUT."""
    caption: CaptionConfig
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    local: LocalConfig = field(default_factory=LocalConfig)
    """Where no endpoint is named."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    shard: str = "0/1"
    """Part of the images to do here, as 0/2 and 1/2 for two processes."""
    retry_failed: bool = False
    """Also ask again for images that failed before."""

    def __post_init__(self) -> None:
        ShardConfig.read(self.shard)


@dataclass(frozen=True, kw_only=True)
class CaptionsByClassConfig:
    """All of ``textok captions by-class``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (*UNREAD, "data.max_bad_share")

    data: DataConfig = field(default_factory=DataConfig)
    out: Path
    """File, as captions.json in the folder of a pipeline; replaced only where it is such a file."""
    sentences: Path | None = None
    """JSON file of class name to a list of sentences, to take instead of captions."""
    held_out: float = 0.1
    """Share of the captions that is held out."""
    template: tuple[str, ...] = ("a photo of a {class}",)
    """Sentences for a class without any; {class} becomes its name."""
    seed: int = 0
    """Of the draw of held-out captions."""

    def __post_init__(self) -> None:
        require_range("--held-out", self.held_out, 0, 1)
        for template in self.template:
            require("{class}" in template, f"--template '{template}': it has no {{class}} in it")
        both = self.sentences is not None and self.data.captions
        require(not both, "--captions and --sentences: leave one of them out")


@dataclass(frozen=True, kw_only=True)
class CaptionsReportConfig:
    """All of ``textok captions report``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path",)
    WITHOUT: ClassVar[tuple[str, ...]] = (*UNREAD, "data.max_bad_share")

    data: DataConfig = field(default_factory=DataConfig)
    out: Path = Path("caption-report")
    """Folder for report.md and lengths.png."""
    text_encoder: tuple[str, ...] = ("minilm",)
    """Each 'minilm', or a folder or hub name; only its tokenizer is read."""
    max_tokens: int = 128
    """Where a training cuts captions (text.max_tokens)."""

    def __post_init__(self) -> None:
        require_range("max_tokens", self.max_tokens, 1)
