"""Whatever lies in a data folder, reading it ends in records or in one line."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from tests.data.conftest import encoded
from tests.fuzz.budget import examples
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.detect import own_splits

IMAGE = encoded(50)
WORDS = st.sampled_from(
    ["a.png", "b.png", "a", "train/a.png", "x.jpg", "caption", "file_name", "text", "label",
     "split", "images", "annotations", "id", "nan", "train", ",", ";", "\t", "\n", '"', "#0",
     "é", "\ud83d",
     "\0", "..", "/", "\\", "{", "}", "[", "]", "0", "1e999", "9" * 5000]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
TEXT = st.lists(WORDS, max_size=20).map("".join)
BYTES = st.one_of(
    st.binary(max_size=60),
    TEXT.map(lambda text: text.encode("utf-8", "replace")),
    TEXT.map(lambda text: text.encode("utf-16", "replace")),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(JSON, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
    st.just(IMAGE),
)
NAMES = st.sampled_from(
    ["a.png", "b.png", "a.txt", "a.json", "a.caption", "metadata.jsonl", "metadata.csv", "t.csv",
     "captions.csv", "captions.txt", "x.json", "annotations/captions_val.json", "train/a.png",
     "val/a.png", "train/metadata.csv", "cat/a.png", "cat/metadata.jsonl", "images/a.png",
     "captions/a.txt", "Flickr8k.token.txt", "Flickr_8k.trainImages.txt", "a.heic", "noext",
     "t.tsv", "@eaDir/a.png", "0.tar", "x.parquet"]
)  # fmt: skip


def read(root: Path, **settings: object) -> None:
    """Opened, and every image read; a refusal is one line that can be printed."""
    config = DataConfig(path=str(root), max_bad_share=1.0, **settings)
    try:
        own_splits(config)
        images = open_captioned_images(config, image_size=8)
        for record in images.records:
            for text in (record.key, *record.captions):
                assert text and text.encode("utf-8")
        json.dumps([images.report.messages(), images.report.left_out()])
    except ValueError as error:
        told = str(error)
    else:
        told = "images were read"
    assert "\n" not in told and len(told) > 10


@examples(40)
@given(files=st.dictionaries(NAMES, BYTES, max_size=5), images=st.booleans())
@example(files={"metadata.jsonl": b'{"file_name": ' + b"9" * 5000 + b"}"}, images=True)
@example(files={"metadata.jsonl": b"[" * 100_000}, images=True)
def test_folders(files: dict[str, bytes], *, images: bool) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        there = files | ({"a.png": IMAGE, "b.png": IMAGE} if images else {})
        for name, content in there.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        read(root)
        for name in files:
            read(root, table=name)


@examples(40)
@given(
    members=st.lists(st.tuples(WORDS.filter(lambda n: n.isprintable()), BYTES), max_size=6),
    cut=st.integers(0, 12_000),
    flip=st.tuples(st.integers(0, 4_000), st.integers(0, 255)),
)
def test_shards(members: list[tuple[str, bytes]], cut: int, flip: tuple[int, int]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in [("a.png", IMAGE), *members]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = bytearray(stream.getvalue()[: max(1, len(stream.getvalue()) - cut)])
    data[flip[0] % len(data)] = flip[1]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "0.tar"
        path.write_bytes(data)
        read(path)
