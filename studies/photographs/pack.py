"""Everything that a machine without network needs to train tokenizers of photographs, in pieces.

Some pictures of each split, the text features of their captions, and the networks of the losses and
distances, in files of less than 22 MB. The code travels as the working tree.

    python -m studies.photographs.pack --data data/tiny-imagenet --out runs/pieces
    python -m studies.photographs.offline runs/pieces --work WORK --out RESULTS   # there
    python -m studies.photographs.collect RESULTS --runs runs/photographs-pieces  # back here
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from studies.command import refuse, run_command
from studies.pairs.job import require_splits
from studies.photographs.baggage import pack_networks, pack_text
from studies.photographs.pieces import LIMIT, write_pieces
from studies.subset import subset, write_subset
from textok.config import TrainTokenizerConfig
from textok.config.check import require, require_range
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.data import CaptionedImages

NAME = "photographs"
PRESET = "photographs-64"


def pack(
    data: Path,
    out: Path,
    *,
    counts: dict[str, int],
    captions: Sequence[int],
    networks: Sequence[str],
    limit: int = LIMIT,
) -> list[Path]:
    """Write the pieces into ``out``; ``counts`` are pictures by split. Raises ValueError."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tree-", dir=out) as folder:
        tree = Path(folder)
        gather(tree, data, out / "text-cache", counts=counts, captions=captions, networks=networks)
        return write_pieces(tree, out, NAME, limit=limit)


def gather(
    tree: Path,
    data: Path,
    text_cache: Path,
    *,
    counts: dict[str, int],
    captions: Sequence[int],
    networks: Sequence[str],
) -> None:
    """Write all that travels into the folder ``tree``, as files of their own."""
    told: list[str] = []
    for split, count in counts.items():
        images = with_captions(subset(data, split, count), captions)
        write_subset(images, tree / "data" / split)
        told += [caption for record in images.records for caption in record.captions]
    text = load_config(TrainTokenizerConfig, [preset_path(PRESET)]).text
    pack_text(tree, told, text, text_cache)
    pack_networks(tree, networks)
    settings = {"networks": list(networks), "captions": list(captions), "images": counts}
    (tree / "settings.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


def with_captions(images: CaptionedImages, places: Sequence[int]) -> CaptionedImages:
    """Only the captions at ``places`` of each picture; its first where it has none of them."""
    records = []
    for record in images.records:
        kept = tuple(record.captions[i] for i in places if i < len(record.captions))
        records.append(dataclasses.replace(record, captions=kept or record.captions[:1]))
    return dataclasses.replace(images, records=records)


def main(
    *,
    data: Path = Path("data/tiny-imagenet"),
    out: Path = Path("runs/pieces"),
    train: int = 16_000,
    val: int = 200,
    test: int = 2_500,
    captions: tuple[int, ...] = (4, 1),
    networks: tuple[Literal["efficientnet_lite0", "vgg16"], ...] = ("efficientnet_lite0",),
) -> None:
    """Write the pieces.

    Args:
        data: What `textok data tiny-imagenet` made.
        out: Folder of the pieces, which git should ignore.
        train: Training pictures, evenly spaced.
        val: Validation pictures.
        test: Test pictures.
        captions: Which captions of each picture, by place from 0: every different one takes 2 kB.
        networks: Of the Frechet distances; vgg16 takes 29 MB.
    """
    require_splits(data, how="textok data tiny-imagenet SOURCE OUT")
    counts = {"train": train, "val": val, "test": test}
    for name, count in counts.items():
        require_range(f"--{name}", count, 2)
    require_range("--captions", min(captions, default=-1), 0)
    require(bool(networks), "--networks is empty: name efficientnet_lite0 at least")
    try:
        written = pack(data, out, counts=counts, captions=captions, networks=networks)
    except ValueError as error:
        refuse(str(error))
    for path in written:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_command(main, "studies.photographs.pack")
