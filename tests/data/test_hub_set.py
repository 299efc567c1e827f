"""Data sets by their name on the Hugging Face hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder
from tests.data.parquet_files import levels, opened, pictures, write
from textok.config import DataConfig
from textok.data.detect import own_splits
from textok.data.hub_set import HubName, load_set

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("hf_cache")


def fetched(cache: Path, name: str, source: Path, config: str = "default") -> None:
    """A data set as the hub's cache holds it after it was fetched."""
    datasets.load_dataset(str(source), cache_dir=str(cache / "of-its-own"))
    (made,) = (cache / "of-its-own").glob("*/*/0.0.0/*/")
    target = cache / name.replace("/", "___") / config / "0.0.0" / "0"
    target.parent.mkdir(parents=True)
    shutil.copytree(made, target)
    info = target / "dataset_info.json"
    told = json.loads(info.read_text())
    own = told["dataset_name"]
    for file in target.glob(f"{own}-*.arrow"):
        file.rename(file.with_name(file.name.replace(own, name.split("/")[-1], 1)))
    info.write_text(
        json.dumps({**told, "config_name": config, "dataset_name": name.split("/")[-1]})
    )
    shutil.rmtree(cache / "of-its-own")


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    for split, first in (("train", 0), ("validation", 3)):
        columns = {"image": pictures(3, first), "text": ["a", "b", "c"]}
        write(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet", columns)
    return tmp_path / "hub"


def test_a_set_that_was_fetched_before_is_read_without_the_network(
    hub_folder: Path, hf_cache: Path
) -> None:
    fetched(hf_cache, "owner/small", hub_folder)
    for name in ("hf://owner/small", "hf://datasets/owner/small", "hf://owner/small/default"):
        images = opened(name)
        assert levels(images) == [0, 10, 20]
        assert [r.captions for r in images.records] == [("a",), ("b",), ("c",)]
        assert [r.key for r in images.records] == ["train/0", "train/1", "train/2"]
        assert own_splits(DataConfig(path=name)) == ("train", "val")
    assert levels(opened("hf://owner/small", "val")) == [30, 40, 50]
    with pytest.raises(ValueError, match="are the same images; add their weights up"):
        opened("hf://owner/small=0.7 hf://datasets/owner/small=0.3")
    with pytest.raises(ValueError, match=r"no configuration 'other', there are default: write hf:"):
        opened("hf://owner/small/other")
    with pytest.raises(ValueError, match=r"no split 'test'; data.split can be train, val"):
        opened("hf://owner/small", "test")
    fetched(hf_cache, "owner/small", hub_folder, config="large")
    load_set.cache_clear()
    with pytest.raises(ValueError, match=r"several configurations, there are .*: write hf://owner"):
        opened("hf://owner/small")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("hf://owner/name", ("owner/name", None, None)),
        ("hf://name", ("name", None, None)),
        ("hf://owner/name/", ("owner/name", None, None)),
        ("hf://owner/name/large", ("owner/name", "large", None)),
        ("hf://owner/name@v1.2", ("owner/name", None, "v1.2")),
        ("hf://owner/name/large@v1.2", ("owner/name", "large", "v1.2")),
        ("hf://datasets/owner/name@main/large", ("owner/name", "large", "main")),
        ("hf://owner/name@refs/pr/3", ("owner/name", None, "refs/pr/3")),
        (
            "hf://owner/name@refs/convert/parquet/large",
            ("owner/name", "large", "refs/convert/parquet"),
        ),
    ],
)
def test_names_on_the_hub(path: str, parts: tuple[str, str | None, str | None]) -> None:
    name = HubName.read(path)
    assert (name.repository, name.config, name.revision) == parts


@pytest.mark.parametrize("path", ["hf://", "hf://a/b/c/d", "hf://a/b/c@x/d", "hf:///a"])
def test_what_is_no_name_on_the_hub(path: str) -> None:
    with pytest.raises(ValueError, match=f"data.path {path}: write hf://OWNER/NAME"):
        opened(path)


def test_name_configuration_and_revision_reach_the_hub(
    hub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    tables = datasets.load_dataset(str(hub_folder))

    def load(path: str, config: str | None, **options: object) -> Any:
        asked.append((path, config, options))
        return tables

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert levels(opened("hf://owner/name/large@v1")) == [0, 10, 20]
    assert levels(opened("hf://owner/name/large@v1", "val")) == [30, 40, 50]
    assert asked == [("owner/name", "large", {"revision": "v1"})]  # once
    monkeypatch.chdir(hub_folder.parent)
    assert len(opened("hf://hub")) == 3  # not the folder of that name
    assert asked[1][0] == "hf://datasets/hub"


def test_rows_that_say_their_split_and_files_that_are_not_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hf_cache: Path
) -> None:
    write_folder(tmp_path, {"own.png": encoded(10)})
    write_folder(hf_cache, {"downloads/a.png": encoded(20)})
    paths = [hf_cache / "downloads/a.png", tmp_path / "own.png"]
    rows = [*pictures(2), *({"bytes": None, "path": str(path)} for path in paths)]
    features = datasets.Features({"image": datasets.Image(), "split": datasets.Value("string")})
    columns = {"image": rows, "split": ["train", "val", "train", "train"]}
    table = datasets.Dataset.from_dict(columns, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict(test=table))
    assert own_splits(DataConfig(path="hf://owner/name")) == ("train", "val")
    images = opened("hf://owner/name", max_bad_share=1)
    assert levels(images) == [0, 20]
    assert list(images.report.missing) == ["train/3"]  # nothing else of this machine is read
    assert levels(opened("hf://owner/name", "val")) == [10]


def test_what_the_hub_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError,
        match=r"^data.path hf://owner/none: .*OfflineModeIsEnabled.*; "
        "without the network only sets fetched before can be read$",
    ):
        opened("hf://owner/none")  # fmt: skip
    said = {
        "Config name is missing.\nPlease pick one among the available configs: ['a', 'b']\nExample":
            "several configurations, there are a, b: write hf://owner/name/a",
        "Dataset 'owner/name' is a gated dataset on the Hub. You must be authenticated.":
            "gated dataset on the Hub. .* log in with `hf auth login`",
        "Dataset 'owner/name' doesn't exist on the Hub or cannot be accessed.":
            "doesn't exist on the Hub or cannot be accessed.",
    }  # fmt: skip
    for text, message in said.items():

        def fail(*_: object, text: str = text, **__: object) -> None:
            raise datasets.exceptions.DatasetNotFoundError(text)

        monkeypatch.setattr(datasets, "load_dataset", fail)
        with pytest.raises(ValueError, match=message) as caught:
            opened("hf://owner/name")
        assert "\n" not in str(caught.value)
    texts = datasets.DatasetDict(train=datasets.Dataset.from_dict({"text": ["a"], "n": [1]}))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: texts)
    with pytest.raises(ValueError, match="hf://owner/name: no column of images; there are text, n"):
        opened("hf://owner/name")


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textok.data.hub_set.importlib.util.find_spec", lambda name: None)
    write(tmp_path / "set" / "train.parquet", {"image": pictures(1)})
    for path in ("hf://owner/name", str(tmp_path / "set"), str(tmp_path / "set/train.parquet")):
        with pytest.raises(ValueError, match=r"is read with .*: pip install 'textok\[hf\]'"):
            opened(path)
    write_folder(tmp_path, {"set/a.png": encoded(10)})
    assert levels(opened(tmp_path / "set")) == [10]
