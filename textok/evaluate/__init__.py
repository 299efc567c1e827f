"""How good a tokenizer or a generator is, on whole data sets and on single images."""

from textok.evaluate.compare import compare_reports
from textok.evaluate.generation import evaluate_generation
from textok.evaluate.generation_report import GenerationReport, read_generation_report
from textok.evaluate.image_generator import ImageGenerator
from textok.evaluate.pictures import reconstruct_files
from textok.evaluate.push import push_model
from textok.evaluate.reconstruction import evaluate_reconstruction
from textok.evaluate.report import Report, read_report

__all__ = [
    "GenerationReport",
    "ImageGenerator",
    "Report",
    "compare_reports",
    "evaluate_generation",
    "evaluate_reconstruction",
    "push_model",
    "read_generation_report",
    "read_report",
    "reconstruct_files",
]
