"""Every command that the documents show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

import textok.data.pictograms.build
import textok.evaluate
import textok.train
from textok.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRESETS = sorted((ROOT / "textok" / "presets").glob("*.yaml"))
COMMAND = re.compile(r"^(?:# +)?(?:[\w-]+ .* -m textok\.cli|textok) (.+)$", re.MULTILINE)


def commands() -> list[str]:
    """What follows `textok` where a line starts with it; lines with `...` are not whole."""
    shown = [line for page in PAGES + PRESETS for line in COMMAND.findall(page.read_text())]
    whole = [line for line in shown if "..." not in line]
    return sorted({line.replace("PRESET", "tiny-64") for line in whole})


@pytest.mark.parametrize("command", commands())
def test_a_shown_command_is_taken(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(to_markdown=str, pictures={})
    for module, name, result in (
        (textok.train, "train_tokenizer", None),
        (textok.evaluate, "evaluate_reconstruction", report),
        (textok.evaluate, "compare_reports", ""),
        (textok.evaluate, "reconstruct_files", []),
        (textok.data.pictograms.build, "build_pictograms", report),
    ):
        monkeypatch.setattr(module, name, lambda *a, _result=result, **k: _result)

    assert main(shlex.split(command, comments=True)) == 0


def test_the_documents_show_every_command() -> None:
    shown = "\n".join(commands())
    for name in ("reconstruct", "train tokenizer", "evaluate reconstruction", "data pictograms"):
        assert name in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
