"""Models for other runtimes: ONNX files with a manifest that says how they are joined."""

from textok.export.build import Exported, export_onnx
from textok.export.check import Difference
from textok.export.web import export_web

__all__ = ["Difference", "Exported", "export_onnx", "export_web"]
