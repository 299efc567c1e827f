"""Where the captioned images come from and how their captions are read."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from typing import Literal

from textok.config.check import require, require_range
from textok.config.resume import may_change

CaptionSeparator = Literal["auto", "line", "paragraph", "file"]
MOST_WORKERS = 1024
"""Processes of one command."""
MOST_AT_ONCE = 2**20
"""Images, rows or captions in one batch."""
Store = Literal["exact", "float8", "nothing"]
Resize = Literal["lanczos", "adm"]
"""How images are brought to size (``textok.data.pixels.to_square``)."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """How a folder of images and its captions are to be read, where it is not by itself clear."""

    table: str = may_change("")
    """File with a row for each image or caption (CSV, TSV, JSON lines), in ``path`` or absolute."""
    image_column: str = ""
    """Its column of image files, with or without suffix; empty: file_name, image, id, ..."""
    caption_columns: tuple[str, ...] = ()
    """Its columns of captions; empty: captions, caption or text."""
    delimiter: str = ""
    """Between its columns, as ``;`` or ``tab``; empty: the most frequent in its first line."""
    images: str = may_change("")
    """Folder of the images that it names, in ``path``; empty: anywhere below ``path``."""
    encoding: str = ""
    """Of its captions and of texts beside images, as ``cp1252`` or ``gb18030``; empty: UTF-8, or
    UTF-16 or Windows-1252 where a file is plainly in it."""
    caption_separator: CaptionSeparator = "auto"
    """In a text beside an image: one caption a ``line``, a ``paragraph``, or the whole ``file``.
    ``auto``: the whole file where it has blank lines between others, else one a line."""
    allow_outside: bool = False
    """Also read files that a table names outside the set's folder."""
    fit: Literal["crop", "pad"] = "crop"
    """Cut the largest square out of an image, or fill it up with white to one."""

    def __post_init__(self) -> None:
        require(
            self.table != "" or not self.images,
            f"data.images is {self.images} but data.table is empty: name the table",
        )
        require(
            len(self.delimiter) <= 1 or self.delimiter in ("tab", "\\t"),
            f"data.delimiter is '{self.delimiter}': give one character, or 'tab'",
        )
        if self.encoding:
            require(
                _is_encoding(self.encoding),
                f"data.encoding is '{self.encoding}', which is none; name one, as gb18030",
            )
        require(
            self.delimiter not in ('"', "\n", "\r"),
            "data.delimiter: a quote or a line break separates no columns",
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig(SourceConfig):
    """One split of captioned images, read at random access."""

    path: str = may_change("")
    """Folder or tar shards (``data-{000..009}.tar``), or several with weights (``"a=0.7 b=0.3"``);
    conventions in docs/data.md."""
    split: str = "train"
    """Sub-folder of ``path`` to read; ignored where ``path`` has none."""
    where: str = ""
    """Keep only records whose metadata match, as in ``style!=openmoji,class=cat|dog``."""
    captions: str = may_change("")
    """File or folder of `textok caption`, whose captions stand in for those beside the images."""
    class_captions: str = may_change("")
    """File of `textok captions by-class`, whose captions of an image's class stand in for its own:
    those to train on in the split ``train``, held-out ones in other splits."""
    flip: bool = False
    """Mirror each image with probability one half."""
    keep_sides: bool = True
    """Do not mirror an image for which a caption is drawn that says left or right."""
    crop: Literal["center", "random"] = "center"
    """Square crop after resizing the shorter side."""
    resize: Resize = "lanczos"
    """``adm``: as ADM's evaluation and DiT's training resize: halved by box averages while the
    shorter side is at least twice the size, then bicubic (docs/evaluation.md)."""
    workers: int = may_change(2)
    """Loader processes on each rank; 0 reads in the training process."""
    cache: Literal["none", "ram", "device"] = may_change("none")
    """Where a training keeps all its images decoded, from before the first step: main memory
    (``ram``), the memory of the GPU (``device``), or nowhere."""
    max_bad_share: float = may_change(0.01)
    """Stop when more than this share of the files cannot be read."""
    allow_uncaptioned: bool = may_change(False)
    """Go on where a model that reads captions finds none."""
    allow_changed: bool = may_change(False)
    """Resume a training although its images, their captions or classes have changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("data.workers", self.workers, 0, MOST_WORKERS)
        require_range("data.max_bad_share", self.max_bad_share, 0, 1)
        require(
            not (self.captions and self.class_captions),
            f"data.captions is {self.captions} and data.class_captions is {self.class_captions}: "
            "leave one of them out",
        )


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


FOR_TRAINING = ("data.flip", "data.keep_sides", "data.crop", "data.cache", "data.allow_changed")
"""Settings of images that training alone looks at."""


@dataclass(frozen=True, kw_only=True)
class LatentsConfig:
    """Stored latents that a generator is trained on."""

    path: str = may_change("")
    """Folder made by ``textok extract``."""
    split: str = "train"
    """Its sub-folder to train on."""
    held_out: str = "val"
    """Its sub-folder for validation losses, sheets and held-out captions; empty: none."""
    num_tokens: int = 0
    """Generate only the first tokens of an image, which a nested tokenizer can decode; 0: all."""
    verify: bool = may_change(True)
    """Read all latents once before training and compare their checksums."""

    def __post_init__(self) -> None:
        require_range("latents.num_tokens", self.num_tokens, 0)


@dataclass(frozen=True, kw_only=True)
class TextStoreConfig:
    """Where a machine keeps the features of captions, and how it computes them."""

    cache: str = may_change("")
    """Folder of cached features; empty: ``text-cache`` in the run folder or beside the latents."""
    store: Store = may_change("exact")
    """What the cache holds: features as they were computed, or rounded to ``float8`` with a scale a
    token; or ``nothing``, and each batch's captions are encoded when it is their turn."""
    shard: bool = may_change(False)
    """Share the encoder's weights out over the processes (FSDP2) while features are computed,
    instead of copying them to each."""

    def __post_init__(self) -> None:
        require(
            self.store != "nothing" or not self.cache,
            f"text.store is 'nothing' but text.cache names {self.cache}: leave one of them out",
        )


@dataclass(frozen=True, kw_only=True)
class TextConfig(TextStoreConfig):
    """A frozen text encoder and the shape of its features."""

    encoder: str = "minilm"
    """``minilm`` (packaged all-MiniLM-L6-v2), or the folder or hub name of a T5 or CLIP model."""
    max_tokens: int = 128
    """T before pooling; longer captions are cut."""
    pool: int = 0
    """Average neighbouring states down to at most this many; 0 keeps one state a token."""
    padding: bool = False
    """Also give the states of the padding, unmasked, as TA-TiTok reads CLIP: all ``max_tokens``."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the encoder and numbers of its cache."""
    drop: float = 0.1
    """Share of training captions left out, so that the model also learns to do without."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("text.max_tokens", self.max_tokens, 1)
        require_range("text.pool", self.pool, 0, self.max_tokens)
        require_range("text.drop", self.drop, 0, 1)
        require(
            not (self.padding and self.pool),
            f"text.pool is {self.pool} but text.padding is true: averages would be of padding, set "
            "text.pool to 0",
        )
        require(self.encoder != "", "text.encoder is empty: use 'minilm', a folder or a hub name")

    @property
    def portable(self) -> TextConfig:
        """The same features without this machine's ways to them: what a saved model names."""
        return replace(self, cache="", store="exact", shard=False)

    @property
    def out_tokens(self) -> int:
        """The most text tokens a caption has after pooling."""
        return self.pool or self.max_tokens
