"""Parquet files and a card, as `datasets` reads them from the Hugging Face hub or a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.data.hub_set import need_datasets
from textok.datasets.export.columns import IMAGE, Column, find_columns
from textok.datasets.export.pictures import Pictures, read_bytes
from textok.datasets.export.shard import Advance, Shard, Written, has_size
from textok.runtime.files import atomic_write, write_text

ROWS_A_GROUP = 100
"""Rows that a reader of parquet reads at once, as `datasets` writes images."""
BYTES_A_GROUP = 1 << 28
"""Or fewer rows, where images are large."""
DATA = "data"
SPLITS = {"val": "validation"}


@dataclass(frozen=True, kw_only=True)
class HubParquet:
    """data/SPLIT-00000-of-00002.parquet and README.md."""

    out: Path
    columns: Sequence[Column]
    """Those beside the image."""

    @staticmethod
    def of(out: Path, pictures: Pictures) -> HubParquet:
        """With the columns that ``pictures`` need.

        Raises:
            ValueError: the `datasets` library is not installed, or two splits get one name.
        """
        need_datasets("the format hf")
        names = [hub_split(split) for split in pictures]
        require(len(set(names)) == len(names), f"splits {' '.join(pictures)}: two have one name")
        return HubParquet(out=out, columns=find_columns(pictures))

    @cached_property
    def features(self) -> Any:
        """The types of all columns, as `datasets` has them."""
        import datasets

        others = {column.name: _feature(column) for column in self.columns}
        return datasets.Features({IMAGE: datasets.Image(), **others})

    def folders(self, splits: Sequence[str]) -> list[str]:
        return [DATA]

    def write(self, shard: Shard, advance: Advance) -> Written:
        import pyarrow.parquet as pq

        bad: dict[str, str] = {}
        path = self._path(shard)
        count = held = 0
        rows: list[dict[str, object]] = []
        with (
            atomic_write(path, flush=True) as temporary,
            pq.ParquetWriter(temporary, self.features.arrow_schema) as writer,
        ):
            for picture, suffix, content in read_bytes(shard.pictures, bad, advance):
                image = {"bytes": content, "path": f"{picture.name}{suffix}"}
                facts = picture.facts()
                rows.append({IMAGE: image, **{c.name: c.value(facts) for c in self.columns}})
                count, held = count + 1, held + len(content)
                if len(rows) == ROWS_A_GROUP or held >= BYTES_A_GROUP:
                    writer.write_table(self._table(rows))
                    rows.clear()
                    held = 0
            if rows:
                writer.write_table(self._table(rows))
        return Written(images=count, bytes=path.stat().st_size, bad=bad)

    def is_there(self, shard: Shard, written: Written) -> bool:
        return has_size(self._path(shard), written)

    def finish(self, pictures: Pictures, written: Mapping[str, Sequence[Written]]) -> None:
        from datasets import DatasetInfo, SplitDict, SplitInfo
        from datasets.info import DatasetInfosDict
        from datasets.utils.metadata import MetadataConfigs
        from huggingface_hub import DatasetCardData

        sizes = {
            hub_split(split): (sum(s.bytes for s in shards), sum(s.images for s in shards))
            for split, shards in written.items()
        }
        splits = SplitDict()
        for name, (size, images) in sizes.items():
            splits.add(SplitInfo(name=name, num_bytes=size, num_examples=images))
        total = sum(size for size, _ in sizes.values())
        info = DatasetInfo(
            features=self.features, splits=splits, download_size=total, dataset_size=total
        )
        data = DatasetCardData()
        DatasetInfosDict({"default": info}).to_dataset_card_data(data)
        files = [{"split": name, "path": f"{DATA}/{name}-*"} for name in sizes]
        MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(data)
        rows = [f"| {name} | {images} |" for name, (_, images) in sizes.items()]
        table = "\n".join(["| split | images |", "|---|---|", *rows])
        columns = ", ".join(f"`{name}`" for name in self.features)
        text = f"---\n{data.to_yaml()}\n---\n\n{table}\n\nColumns: {columns}.\n"
        write_text(self.out / "README.md", text)

    def _table(self, rows: Sequence[Mapping[str, object]]) -> Any:
        import pyarrow as pa

        return pa.Table.from_pylist(list(rows), self.features.arrow_schema)

    def _path(self, shard: Shard) -> Path:
        name = shard.name.replace(shard.split, hub_split(shard.split), 1)
        return self.out / DATA / f"{name}.parquet"


def hub_split(name: str) -> str:
    """A split's name on the hub: ``validation`` for ``val``; letters, digits, ``_``."""
    return SPLITS.get(name) or re.sub(r"\W", "_", name)


def _feature(column: Column) -> Any:
    """The type of a column in `datasets`."""
    import datasets

    if column.classes:
        return datasets.ClassLabel(names=list(column.classes))
    value = datasets.Value(column.kind)
    return datasets.List(value) if column.several else value
