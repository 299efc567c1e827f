"""Tiny fakes of the layouts in which ImageNet is kept: three classes, two images of each."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import write_folder, write_tar
from textok.config.datasets import ImageNetConfig
from textok.datasets.imagenet import SplitSummary, build, build_imagenet
from textok.datasets.imagenet.write import Job, Written
from textok.datasets.workers import Outcome

SYNSETS = ("n01440764", "n01443537", "n02119789")
NAMES = {"n01440764": "tench", "n01443537": "goldfish", "n02119789": "kit fox"}
DEVKIT = "ILSVRC2012_devkit_t12"


def photo(seed: int, *, size: tuple[int, int] = (60, 45), kind: str = "JPEG") -> bytes:
    """A smooth picture of its own colours."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, kind)
    return stream.getvalue()


def train_files() -> dict[str, bytes]:
    """SYNSET/NAME to bytes."""
    return {
        f"{synset}/{synset}_{10 * i + 3}.JPEG": photo(2 * place + i)
        for place, synset in enumerate(SYNSETS)
        for i in range(2)
    }


def val_files() -> dict[str, tuple[str, bytes]]:
    """NAME to synset and bytes; neighbours are of different classes."""
    return {
        f"ILSVRC2012_val_{i + 1:08d}.JPEG": (SYNSETS[(2 * i) % 3], photo(100 + i)) for i in range(6)
    }


def write_solution(folder: Path) -> None:
    """Kaggle's file of validation classes and boxes, in an order of its own."""
    rows = [f"{name[:-5]},{synset} 1 2 3 4 \n" for name, (synset, _) in val_files().items()]
    text = "ImageId,PredictionString\n" + "".join(reversed(rows))
    (folder / "LOC_val_solution.csv").write_text(text)


def devkit_files() -> dict[str, bytes]:
    """The development kit's two files. Its numbers are not the places of the sorted synsets."""
    savemat = pytest.importorskip("scipy.io").savemat
    numbers = {"n02119789": 1, "n01440764": 2, "n01443537": 3, "n02083346": 1001}
    table = np.zeros(4, dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    for row, (synset, number) in enumerate(numbers.items()):
        table[row] = (number, synset, "some, words")
    stream = io.BytesIO()
    savemat(stream, {"synsets": table.reshape(-1, 1)}, do_compression=True)
    truth = "".join(f"{numbers[synset]}\n" for synset, _ in val_files().values())
    return {
        f"{DEVKIT}/data/meta.mat": stream.getvalue(),
        f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }


def write_devkit(folder: Path) -> None:
    """The same as the archive that ImageNet gives out."""
    with tarfile.open(folder / f"{DEVKIT}.tar.gz", "w:gz") as tar:
        for name, data in devkit_files().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def archives(root: Path) -> Path:
    """ILSVRC2012_img_train.tar of a tar a class, ILSVRC2012_img_val.tar and the devkit."""
    root.mkdir()
    inner: list[tuple[str, bytes | str]] = []
    for synset in reversed(SYNSETS):
        own = [(n.split("/")[1], data) for n, data in train_files().items() if synset in n]
        path = write_tar(root / "inner.tar", list(own))
        inner.append((f"{synset}.tar", path.read_bytes()))
        path.unlink()
    write_tar(root / "ILSVRC2012_img_train.tar", inner)
    val: list[tuple[str, bytes | str]] = [(n, data) for n, (_, data) in val_files().items()]
    write_tar(root / "ILSVRC2012_img_val.tar", val[::-1])
    write_devkit(root)
    return root


def folders(root: Path) -> Path:
    """train/SYNSET/NAME and val/SYNSET/NAME."""
    files: dict[str, bytes | str] = {f"train/{name}": data for name, data in train_files().items()}
    files |= {f"val/{synset}/{name}": data for name, (synset, data) in val_files().items()}
    files |= {"train/n01440764/.hidden.JPEG": b"", "train/n01440764/notes.txt": "no picture"}
    return write_folder(root, files)


def kaggle(root: Path) -> Path:
    """ILSVRC/Data/CLS-LOC with validation images side by side, and LOC_val_solution.csv."""
    base = "ILSVRC/Data/CLS-LOC"
    files: dict[str, bytes | str] = {f"{base}/train/{n}": data for n, data in train_files().items()}
    files |= {f"{base}/val/{name}": data for name, (_, data) in val_files().items()}
    write_folder(root, files)
    write_solution(root)
    return root


LAYOUTS = {"archives": archives, "folders": folders, "kaggle": kaggle}


def made(source: Path, out: Path, **options: object) -> list[SplitSummary]:
    settings: dict[str, Any] = {"size": 16, "workers": 1, **options}
    return build_imagenet(ImageNetConfig(source=source, out=out, **settings), progress=False)


@pytest.fixture
def processes() -> None:
    """The test starts processes as the command does."""


def in_this_process(
    function: Callable[[Job], Written], jobs: Iterable[Job], **limits: object
) -> Iterator[Outcome[Job, Written]]:
    """Stands in for processes, which take seconds to start."""
    for job in jobs:
        try:
            yield Outcome(job=job, result=function(job))
        except ValueError as error:
            yield Outcome(job=job, result=None, failure=f"ValueError: {error}")


@pytest.fixture(autouse=True)
def _one_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "processes" not in request.fixturenames:
        monkeypatch.setattr(build, "run_jobs", in_this_process)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the class folders give."""
    root = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "run_jobs", in_this_process)
        made(folders(root / "source"), root / "out")
    return root / "out"
