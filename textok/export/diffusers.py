"""A pipeline as a folder that diffusers loads."""

from __future__ import annotations

from pathlib import Path

from textok.config.export import ExportDiffusersConfig
from textok.pipeline import load_pipeline
from textok.pipeline.diffusers_folder import check_diffusers_folder, save_diffusers


def export_diffusers(config: ExportDiffusersConfig) -> Path:
    """Write the pipeline ``model`` for diffusers; ``out`` appears whole or not at all.

    Raises ValueError for what is no pipeline, and for an ``out`` that holds anything else than such
    an export.
    """
    check_diffusers_folder(config.out)
    return save_diffusers(config.out, load_pipeline(config.model))
