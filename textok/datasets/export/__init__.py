"""Any readable set in a format that other programs read, its images byte for byte."""

from textok.datasets.export.build import Exported, ExportedSplit, export_data

__all__ = ["Exported", "ExportedSplit", "export_data"]
