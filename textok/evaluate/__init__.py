"""How good a tokenizer is, on whole data sets and on single pictures."""

from textok.evaluate.compare import compare_reports
from textok.evaluate.pictures import reconstruct_files
from textok.evaluate.reconstruction import evaluate_reconstruction
from textok.evaluate.report import Report, read_report

__all__ = [
    "Report",
    "compare_reports",
    "evaluate_reconstruction",
    "read_report",
    "reconstruct_files",
]
