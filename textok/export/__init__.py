"""Models for other runtimes and libraries: ONNX files with a manifest, a page, diffusers."""

from textok.export.build import Exported, export_onnx
from textok.export.check import Difference
from textok.export.diffusers import export_diffusers
from textok.export.web import export_web

__all__ = ["Difference", "Exported", "export_diffusers", "export_onnx", "export_web"]
