"""A wrong source, place or setting is refused in one line, before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.imagenet.conftest import DEVKIT, archives, folders, kaggle, made
from textok.datasets.imagenet import build


def _cut(name: str, size: int) -> Callable[[Path], object]:
    def spoil(source: Path) -> None:
        data = (source / name).read_bytes()
        (source / name).write_bytes(data[:size])

    return spoil


def _damage_inner(source: Path) -> None:
    path = source / "ILSVRC2012_img_train.tar"
    data = bytearray(path.read_bytes())
    data[512 + 100 : 512 + 400] = b"\xff" * 300  # the header of the inner archive's first file
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("layout", "spoil", "message"),
    [
        (archives, _cut("ILSVRC2012_img_train.tar", 9000), "ILSVRC2012_img_train.tar: no whole"),
        (archives, _cut("ILSVRC2012_img_val.tar", 700), "ILSVRC2012_img_val.tar: no whole tar"),
        (archives, _cut(f"{DEVKIT}.tar.gz", 300), f"{DEVKIT}.tar.gz: cannot be read"),
        (archives, _damage_inner, "ILSVRC2012_img_train.tar: its n02119789.tar is damaged"),
        (archives, lambda s: (s / f"{DEVKIT}.tar.gz").unlink(), "put LOC_val_solution.csv or"),
        (kaggle, lambda s: (s / "LOC_val_solution.csv").write_text("a,b\n1,2\n"), "csv line 2"),
        (kaggle, _cut("LOC_val_solution.csv", 80), "csv line 3: no ImageId"),
        (folders, lambda s: shutil.rmtree(s / "val"), "no images of val: looked for ILSVRC2012_"),
        (folders, lambda s: shutil.rmtree(s), "source: no such folder"),
        (folders, lambda s: (s / "val" / "n99999999").mkdir(), "n99999999 in val: no class of"),
    ],
)
def test_a_wrong_or_damaged_source_is_one_line(
    layout: Callable[[Path], Path], spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    source = layout(tmp_path / "source")
    spoil(source)
    with pytest.raises(ValueError, match=message) as refused:
        made(source, tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.glob("out/*/*.tar")) == [] or "damaged" in message


def test_a_wrong_place_or_setting_is_one_line(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folders(tmp_path / "source")
    for options, message in (
        ({"size": 7}, "size 7: choose 0 or 8"),
        ({"workers": 0}, "workers is 0: it must be >= 1"),
        ({"splits": ["test"]}, "splits test: name train and val"),
        ({"max_bad_share": 2}, "max_bad_share is 2"),
    ):
        with pytest.raises(ValueError, match=message):
            made(source, tmp_path / "out", **options)
    with pytest.raises(ValueError, match="was made with other settings"):
        made(source, reference, size=32)
    with pytest.raises(ValueError, match="is not an ImageNet of textok"):
        made(source, source)
    shutil.rmtree(source / "train" / "n01440764")
    with pytest.raises(ValueError, match=r"train: has n01440764\.tar, which the source"):
        made(source, reference)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"about 0\.0 GiB are needed and 0\.0 GiB are free"):
        made(source, tmp_path / "out", size=2048)
    assert not (tmp_path / "out").exists()
