"""What an evaluation says on the terminal."""

from __future__ import annotations

from pathlib import Path


def findings(report: str, out: Path) -> str:
    """A report's tables and remarks; its protocol and pictures are in the files that are named."""
    return "\n".join([report.partition("\n## Protocol")[0].rstrip(), "", str(out / "report.md")])
