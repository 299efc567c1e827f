"""Reports of nested tokenizers with chosen numbers. Not a test module."""

from __future__ import annotations

import json
from pathlib import Path


def reported(folder: Path, rows: list[tuple[str, int, float]], **metrics: float) -> None:
    """As much of a report as studies read: captions, tokens and distance of each row."""
    folder.mkdir(parents=True)
    means = {name: {"mean": value} for name, value in {"psnr": 9.0, **metrics}.items()}
    every = [
        {"source": source, "tokens": count, "frechet": distance, "metrics": means}
        for source, count, distance in rows
    ]
    (folder / "report.json").write_text(json.dumps({"metric": "FD", "rows": every}))
