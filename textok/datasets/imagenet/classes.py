"""The 1,000 classes, and which of them a validation image shows."""

from __future__ import annotations

import csv
import io
import re
import tarfile
from functools import cache
from pathlib import Path

from textok.config.check import require

CLASSES = Path(__file__).parents[2] / "assets" / "imagenet_classes.txt"
SOLUTION = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH, META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
SYNSET = re.compile(r"n\d{8}")


@cache
def class_names() -> dict[str, str]:
    """Synset to name, in ImageNet's order: ``{"n01440764": "tench", ...}``."""
    lines = CLASSES.read_text(encoding="utf-8").splitlines()
    return {synset: name for synset, _, name in (line.partition(" ") for line in lines)}


def validation_labels(source: Path) -> dict[str, str]:
    """File name without suffix to synset: ``{"ILSVRC2012_val_00000001": "n01751748", ...}``.

    Kaggle's LOC_val_solution.csv goes first, since it names the synsets. The development kit's
    ground truth gives numbers of its own, which are not the sorted synsets' places: its meta.mat
    tells what they mean.

    Raises:
        ValueError: neither is in ``source``, one is damaged, or scipy is missing for meta.mat.
    """
    if (source / SOLUTION).is_file():
        return _read_solution(source / SOLUTION)
    archive, folder = source / f"{DEVKIT}.tar.gz", source / DEVKIT
    if not (archive.is_file() or folder.is_dir()):
        raise ValueError(
            f"{source}: the validation images need their classes: put {SOLUTION} or {archive.name} "
            "there"
        )
    if archive.is_file():
        truth, meta = _read_members(archive, (TRUTH, META))
        where = archive
    else:
        truth, meta = ((folder / name).read_bytes() for name in (TRUTH, META))
        where = folder
    synsets = _read_meta(meta, where)
    try:
        numbers = [int(word) for word in truth.split()]
        return {f"ILSVRC2012_val_{i:08d}": synsets[n] for i, n in enumerate(numbers, start=1)}
    except (ValueError, KeyError) as error:
        raise ValueError(f"{where}: {TRUTH} has a class that {META} lacks ({error})") from error


def _read_solution(path: Path) -> dict[str, str]:
    labels = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            boxes = (row.get("PredictionString") or "").split()
            good = bool(row.get("ImageId")) and bool(boxes) and SYNSET.fullmatch(boxes[0])
            require(bool(good), f"{path} line {line}: no ImageId and class; fetch the file again")
            labels[row["ImageId"]] = boxes[0]
    return labels


def _read_members(archive: Path, names: tuple[str, ...]) -> list[bytes]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            files = [tar.extractfile(f"{DEVKIT}/{name}") for name in names]
            return [file.read() for file in files if file is not None]
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        raise ValueError(f"{archive}: cannot be read ({error}); fetch it again") from error


def _read_meta(data: bytes, where: Path) -> dict[int, str]:
    """ILSVRC2012_ID to synset, from MATLAB's table of the classes and their ancestors."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(
            f"{where}: reading {META} needs scipy: pip install 'textok[data]', or put {SOLUTION} "
            "beside it"
        ) from error
    try:
        table = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        synsets = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
    except Exception as error:  # scipy's reader raises almost anything on damaged files
        raise ValueError(f"{where}: {META} cannot be read ({error}); fetch it again") from error
    return {number: synset for number, synset in synsets.items() if synset in class_names()}
