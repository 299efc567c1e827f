"""manifest.json: what a client needs to know to use the files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from textok import __version__
from textok.config.export import Weights
from textok.export.check import Difference
from textok.export.graph import Graph
from textok.export.model import ExportedModel
from textok.export.schedule import evaluations
from textok.latents.scale import FLOOR
from textok.runtime.files import file_sha256
from textok.runtime.pretrained import CARD

FORMAT = 1
SECTION = re.compile(r"^#+ *Licen[cs]es?\s*\n+(.+?)(?:\n\n|\n#|\Z)", re.DOTALL | re.MULTILINE)
UNSTATED = "not stated by the model's card"


@dataclass(frozen=True, kw_only=True)
class TextAbout:
    """A text encoder among the files."""

    encoder: str
    vocabulary: str
    """File of Hugging Face tokenizers."""
    max_tokens: int
    """Ids that are kept of a caption, special ones included."""
    out_tokens: int
    """Most states of a caption."""
    width: int
    padding: bool
    """Captions are filled up with 0 to ``max_tokens``, and all of it is real."""
    licence: str


def manifest(
    model: ExportedModel,
    graphs: Sequence[Graph],
    *,
    weights: Weights,
    texts: dict[str, TextAbout],
    readers: dict[str, str | None],
) -> dict[str, Any]:
    """All but what is known of files only when they are written."""
    config = model.tokenizer.config
    about: dict[str, Any] = {
        "format": FORMAT,
        "textok": __version__,
        "torch": torch.__version__,
        "model": model.name,
        "licence": licence_of(model.folder),
        "source_sha256": {
            str(path.relative_to(model.folder)): file_sha256(path)
            for path in sorted(model.folder.rglob("*.safetensors"))
        },
        "weights": weights,
        "graphs": {
            graph.name: {
                "file": f"{graph.name}.onnx",
                "inputs": {name: port.described for name, port in graph.inputs.items()},
                "outputs": {name: port.described for name, port in graph.outputs.items()},
            }
            for graph in graphs
        },
        "image": {"size": config.image_size, "low": -1.0, "high": 1.0},
        "latents": {
            "tokens": config.num_tokens,
            "channels": config.channels,
            "bottleneck": config.bottleneck,
            "nested": config.nested,
        },
        "decoding": asdict(config.sampling) if config.decoding == "flow" else None,
        "texts": {name: asdict(text) for name, text in texts.items()},
        "readers": readers,
        "classes": [],
    }
    if model.generator is not None:
        about |= _of_generator(model, about["latents"])
    return about


def with_differences(about: dict[str, Any], found: Sequence[Difference]) -> dict[str, Any]:
    """The same, and how far onnxruntime is from torch."""
    shown = [asdict(one) for one in found]
    for one in shown:  # JSON has no infinity
        one["psnr"] = None if one["psnr"] in (None, float("inf")) else round(one["psnr"], 2)
    return {**about, "differences": shown}


def licence_of(folder: Path) -> str:
    """What a model's card says: its header's ``license``, or the section of that name."""
    card = folder / CARD
    if not card.is_file():
        return UNSTATED
    text = card.read_text(encoding="utf-8", errors="replace")
    header = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    named = header and re.search(r"^license: *(\S.*)$", header[1], re.MULTILINE)
    if named:
        return named[1].strip()
    section = SECTION.search(text)
    return " ".join(section[1].split()) if section else UNSTATED


def _of_generator(model: ExportedModel, latents: dict[str, Any]) -> dict[str, Any]:
    assert model.parts is not None and model.generator is not None and model.sampling is not None
    scale = model.parts.scale
    assert scale is not None
    config = model.generator.config
    return {
        "classes": list(model.parts.classes),
        "latents": {
            **latents,
            "generated": config.num_tokens,
            "mean": scale.mean.tolist(),
            "std": scale.std.clamp(min=FLOOR).tolist(),
        },
        "sampling": {
            "objective": config.objective.name,
            "sampler": model.sampling.sampler,
            "steps": model.sampling.steps,
            "guidance": asdict(model.sampling.guidance),
            "evaluations": [asdict(row) for row in evaluations(config, model.sampling)],
        },
    }
