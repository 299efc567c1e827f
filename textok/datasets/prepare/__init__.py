"""Any readable set as one that is read quickly: square PNG files, splits, a table each."""

from textok.datasets.prepare.build import Prepared, prepare_data

__all__ = ["Prepared", "prepare_data"]
