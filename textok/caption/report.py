"""What a set of captions is like, and what a text encoder would lose of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from textok.config.captioning import CaptionsReportConfig
from textok.config.data import DataConfig
from textok.data import Record, open_captioned_images
from textok.runtime.files import atomic_write, write_text
from textok.runtime.own_folder import OwnFolder
from textok.text.lengths import TokenCounter

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Captions in tokens of one text encoder."""

    limit: int
    """Tokens that it would read."""
    tokens: Sequence[int]
    """Of each caption."""
    unread: Sequence[str] = ()
    """The captions that have words that it cannot read."""

    @property
    def cut_share(self) -> float:
        """Share of the captions that it would cut."""
        return sum(count > self.limit for count in self.tokens) / max(1, len(self.tokens))


@dataclass(frozen=True, kw_only=True)
class CaptionReport:
    """Counts of a caption set."""

    data: DataConfig
    images: int
    captions: int
    without: list[str]
    """Keys of images without a caption: none is there, or it is empty."""
    repeated: Counter[str]
    """Captions of more than one place, and how often they come."""
    words: Sequence[int]
    encoders: Mapping[str, Lengths] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        """Captions beyond the first of their wording."""
        return sum(self.repeated.values()) - len(self.repeated)

    def to_markdown(self) -> str:
        """The report as a page, which shows ``lengths.png`` from beside it."""
        whence = self.data.captions or "those beside the images"
        lines = [
            f"# Captions of {self.data.path}",
            "",
            f"- captions: {self.captions} of {self.images} images, {whence}",
            f"- images without a caption: {len(self.without)} ({self.without_share:.2%})"
            + _some(self.without),
            f"- captions that repeat another: {self.duplicates}"
            f" ({self.duplicates / max(1, self.captions):.2%})",
            *(f"  - {n} times: {_cut(text)}" for text, n in self.repeated.most_common(SHOWN)),
            *self._unread(),
        ]
        if self.captions:
            lines += ["", *self._table(), "", "![histogram of lengths](lengths.png)"]
        return "\n".join([*lines, ""])

    @property
    def without_share(self) -> float:
        """Share of the images without a caption."""
        return len(self.without) / self.images

    def _unread(self) -> list[str]:
        """How many captions each encoder cannot read, and the first of them."""
        lines = []
        for name, found in self.encoders.items():
            share = f"{len(found.unread)} ({len(found.unread) / max(1, self.captions):.2%})"
            lines.append(f"- captions with words that {name} cannot read: {share}")
            lines += [f"  - {_cut(text)}" for text in list(dict.fromkeys(found.unread))[:SHOWN]]
        return lines

    def _table(self) -> list[str]:
        names = ["least", *(f"{q:.0%}" for q in QUANTILES[1:-1]), "most"]
        rows = [["length in", *names, "limit", "cut"], ["---"] * (len(names) + 3)]
        rows.append(["words", *_quantiles(self.words), "", ""])
        for name, found in self.encoders.items():
            limit = [str(found.limit), f"{found.cut_share:.2%}"]
            rows.append([f"tokens of {name}", *_quantiles(found.tokens), *limit])
        return ["| " + " | ".join(row) + " |" for row in rows]


def caption_report(config: CaptionsReportConfig) -> CaptionReport:
    """Count lengths, duplicates and gaps of captions; write report.md, lengths.png.

    Raises ValueError for data or a text encoder that cannot be read.
    """
    data, out, max_tokens = config.data, config.out, config.max_tokens
    folder = OwnFolder(
        path=out, kind="a report on captions", setting="out", made_before=_was_a_report
    )
    folder.check()
    counters = {name: TokenCounter(name) for name in config.text_encoder}
    images = open_captioned_images(data, image_size=1)
    texts = [text for record in images.records for text in record.captions]
    counted = {name: counter(texts) for name, counter in counters.items()}
    report = CaptionReport(
        data=data,
        images=len(images),
        captions=len(texts),
        without=_without(images.records),
        repeated=Counter({text: n for text, n in Counter(texts).items() if n > 1}),
        words=[len(text.split()) for text in texts],
        encoders={
            name: Lengths(
                limit=min(max_tokens, counters[name].limit or max_tokens),
                tokens=tokens,
                unread=unread,
            )
            for name, (tokens, unread) in counted.items()
        },
    )
    folder.claim()
    if texts:
        plot_lengths(report.encoders, out / "lengths.png")
    write_text(out / "report.md", report.to_markdown())
    return report


def _was_a_report(folder: Path) -> bool:
    return (folder / "report.md").is_file() and (folder / "lengths.png").is_file()


def plot_lengths(encoders: Mapping[str, Lengths], path: Path) -> None:
    """Draw a histogram for each text encoder, with its limit. Raises ValueError sans matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("the plot needs matplotlib: install textok[train]") from error

    figure = Figure(figsize=(6, 1 + 2.2 * len(encoders)), dpi=150, layout="constrained")
    axes = figure.subplots(len(encoders), squeeze=False, sharex=True)[:, 0]
    most = max(max(*found.tokens, found.limit) for found in encoders.values())
    step = max(1, -(-most // 60))
    for place, (name, found) in zip(axes, encoders.items(), strict=True):
        place.hist(found.tokens, bins=np.arange(-0.5, most + 2 * step, step), color="0.6")
        label = f"limit {found.limit}: {found.cut_share:.1%} cut"
        place.axvline(found.limit + 0.5, color="tab:red", label=label)
        place.set(title=name, ylabel="captions")
        place.legend(frameon=False)
    axes[-1].set_xlabel("tokens")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _without(records: Sequence[Record]) -> list[str]:
    return [record.key for record in records if not record.captions]


def _quantiles(counts: Sequence[int]) -> list[str]:
    return [f"{value:.0f}" for value in np.quantile(counts, QUANTILES)]


def _some(keys: Sequence[str]) -> str:
    return f": {', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}" if keys else ""


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."
