"""Where a report goes: a folder of its own."""

from __future__ import annotations

from pathlib import Path

from textok.runtime.own_folder import OwnFolder


def report_folder(path: Path) -> OwnFolder:
    """The folder of one report; those of before had no marker."""
    return OwnFolder(path=path, kind="a report", setting="out", made_before=_was_a_report)


def _was_a_report(folder: Path) -> bool:
    try:
        report = (folder / "report.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return '"protocol"' in report and (folder / "report.md").is_file()
