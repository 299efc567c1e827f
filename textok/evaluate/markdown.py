"""Tables and lists in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def markdown_bullets(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """The lines of a list; a mapping inside it is a list of its own."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}- {name}:", *markdown_bullets(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {name}: {value}")
    return lines


def mean_and_range(values: Sequence[float], digits: int) -> str:
    """The mean of seeds, and their range where there are several."""
    mean = f"{sum(values) / len(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"
