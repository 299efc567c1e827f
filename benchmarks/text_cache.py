"""What stored text features take and how far off they are, by precision, of real captions.

    python -m benchmarks.text_cache

The captions are those of the bundled sample. Errors are relative to features computed and kept in
fp32: the norm of the difference as a share of the norm, over all numbers, and of the worst token.
Bytes are of the files, keys and checksums included.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import textok
from studies.command import run_command
from textok.config import TextConfig
from textok.config.data import Store
from textok.evaluate.markdown import markdown_table
from textok.runtime.device import Precision, best_device
from textok.text import FeatureCache
from textok.types import TextFeatures

SAMPLE = Path(textok.__file__).parent / "assets" / "sample"
HEADS = [
    "`text.precision`",
    "`text.store`",
    "bytes a caption",
    "bytes a number",
    "off",
    "worst token off",
]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of keeping features."""

    precision: str
    store: str
    caption_bytes: float
    number_bytes: float
    error: float
    worst: float

    def cells(self) -> list[str]:
        return [
            self.precision,
            self.store,
            f"{self.caption_bytes:,.0f}",
            f"{self.number_bytes:.2f}",
            f"{self.error:.2%}",
            f"{self.worst:.2%}",
        ]


def sample_captions() -> list[str]:
    """Every caption of the bundled sample, once."""
    lines = [
        line
        for path in sorted(SAMPLE.glob("*/metadata.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return sorted({caption for line in lines for caption in json.loads(line)["captions"]})


def measure(text: TextConfig, captions: list[str]) -> Iterator[Row]:
    """A row for each precision and way of storing."""
    exact: TextFeatures | None = None
    with tempfile.TemporaryDirectory() as folder:
        for precision in get_args(Precision):
            for store in get_args(Store):
                if store == "nothing":
                    continue
                way = replace(text, precision=precision, store=store)
                cache = FeatureCache(way, Path(folder), device=best_device())
                cache.warm(captions, progress=False)
                found = cache(captions)
                exact = exact or found
                size = sum(path.stat().st_size for path in cache.folder.iterdir())
                yield _row(way, exact, found, size)


def _row(way: TextConfig, exact: TextFeatures, found: TextFeatures, size: int) -> Row:
    expected_TD = exact.states[exact.mask].float()
    off_TD = found.states[found.mask].float() - expected_TD
    return Row(
        precision=way.precision,
        store=way.store,
        caption_bytes=size / len(exact.mask),
        number_bytes=size / expected_TD.numel(),
        error=float(off_TD.norm() / expected_TD.norm()),
        worst=float((off_TD.norm(dim=1) / expected_TD.norm(dim=1)).max()),
    )


def main(*, encoder: str = "minilm", max_tokens: int = 128) -> None:
    """Measure and print a table.

    Args:
        encoder: ``minilm``, or the folder or hub name of a T5 or CLIP model.
        max_tokens: Longer captions are cut.
    """
    captions = sample_captions()
    rows = [
        row.cells() for row in measure(TextConfig(encoder=encoder, max_tokens=max_tokens), captions)
    ]
    print(f"{len(captions)} captions by {encoder}\n")
    print("\n".join(markdown_table(HEADS, rows)))


if __name__ == "__main__":
    run_command(main, "benchmarks.text_cache", description=__doc__)
