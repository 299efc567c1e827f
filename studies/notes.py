"""Pages that a command writes and a person continues."""

from __future__ import annotations

from pathlib import Path

from textok.runtime.files import write_text

NOTES = "## What it says"
"""Heading of what is written by hand, below all that is generated."""


def write_noted(path: Path, text: str) -> None:
    """Write ``text``; what a page of before has from ``NOTES`` on stays below it."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = before[before.index(NOTES) :] if NOTES in before else ""
    write_text(path, f"{text}\n{kept}" if kept else text)
