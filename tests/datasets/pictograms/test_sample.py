from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import textok
from textok.datasets.pictograms.products import PRODUCTS, SIDE, make_products
from textok.datasets.pictograms.sample import COUNTS, make_sample

BUNDLED = Path(textok.__file__).parent / "assets" / "sample"


def write_build(data: Path) -> None:
    """30 pictures a split: every third is OpenMoji's, every second is not core."""
    for split in COUNTS:
        (data / split).mkdir(parents=True)
        rows = []
        for i in range(30):
            style, core = ("openmoji", "noto", "twemoji")[i % 3], i % 2 == 0
            key = f"{style}-{split}-{i:02d}"
            (data / split / f"{key}.webp").write_bytes(key.encode())
            group = "flags" if i > 20 else "objects"
            rows.append(
                {"file_name": f"{key}.webp", "key": key}
                | {"style": style, "group": group, "core": core}
            )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / split / "metadata.jsonl").write_text(text)


def test_the_sample_takes_turns_between_styles_and_groups(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_build(data)
    (out / "stale").mkdir(parents=True)
    make_sample(data, out, counts={"train": 4, "test": 99})
    assert sorted(path.name for path in out.iterdir()) == ["LICENSES.md", "test", "train"]
    rows = [json.loads(line) for line in (out / "train" / "metadata.jsonl").open()]
    assert {(row["style"], row["group"]) for row in rows} == {
        (style, group) for style in ("noto", "twemoji") for group in ("objects", "flags")
    }
    for row in rows:
        assert (out / "train" / row["file_name"]).read_bytes() == row["key"].encode()
    assert len((out / "test" / "metadata.jsonl").read_text().splitlines()) == 10  # all that fit
    assert "openmoji" not in (out / "LICENSES.md").read_text().lower()


def test_an_unfinished_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metadata\.jsonl: missing; build the pictograms"):
        make_sample(tmp_path / "nothing", tmp_path / "out")


def test_the_bundled_sample() -> None:
    concepts = {}
    size = 0
    for split, count in COUNTS.items():
        lines = (BUNDLED / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert len(rows) == count
        assert {row["file_name"] for row in rows} == {
            path.name for path in (BUNDLED / split).glob("*.webp")
        }
        assert {row["licence"] for row in rows} == {"MIT", "Apache-2.0", "CC-BY-4.0"}
        assert all(row["core"] and all(row["captions"]) for row in rows)
        assert len({row["group"] for row in rows}) >= 8
        concepts[split] = {row["concept"] for row in rows}
        for row in rows:
            path = BUNDLED / split / row["file_name"]
            size += path.stat().st_size
            with Image.open(path) as picture:
                assert (picture.size, picture.mode) == ((128, 128), "RGB")
    assert size < 2_500_000
    assert len(set().union(*concepts.values())) == sum(map(len, concepts.values()))


def test_the_shown_products_are_cut_out_of_a_build(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for number, key in enumerate(PRODUCTS):  # some were left out as near copies of others
        folder = data / ("train" if number % 2 else ".build/drawn")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (256, 256), "red").save(folder / f"{key}.webp", lossless=True)
    make_products(data, out)
    rows = [json.loads(line) for line in (out / "metadata.jsonl").open()]
    assert [row["caption"] for row in rows] == list(PRODUCTS.values())
    with Image.open(out / rows[0]["file_name"]) as picture:
        assert picture.size == (SIDE, SIDE)
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.getpixel((SIDE // 2, SIDE // 2)) == (255, 0, 0)
    (data / "train" / f"{list(PRODUCTS)[1]}.webp").unlink()
    with pytest.raises(ValueError, match=r"data: has no fluent-3d-1f392\.webp; build"):
        make_products(data, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_bundled_products() -> None:
    folder = BUNDLED.parent / "shown"
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").open()]
    assert {row["pictogram"]: row["caption"] for row in rows} == PRODUCTS
    assert [row["file_name"] for row in rows] == sorted(path.name for path in folder.glob("*.webp"))
    text = (folder / "LICENSES.md").read_text(encoding="utf-8")
    assert "openmoji" not in text.lower()
    for row in rows:
        assert f"| {row['style']} |" in text and f"[{row['licence']}]" in text
        with Image.open(folder / row["file_name"]) as picture:
            assert (picture.size, picture.mode) == ((SIDE, SIDE), "RGB")
            assert picture.getpixel((0, 0)) == (255, 255, 255)
