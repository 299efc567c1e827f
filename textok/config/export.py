"""What `textok export` is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from textok.config.check import require_range
from textok.config.decoding import DecodingOptions
from textok.config.generator import SamplingOptions

Weights = Literal["fp32", "fp16", "int8"]
"""How weights are stored in ONNX files: as they are; as fp16, computed with in fp32; those of
linear layers as int8, which multiply activations rounded to 8 bits, all others as fp16."""


@dataclass(frozen=True, kw_only=True)
class ExportONNXConfig:
    """All of ``textok export onnx``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("model", "out")
    ALIASES: ClassVar[dict[str, str]] = {
        "steps": "sampling.steps",
        "sampler": "sampling.sampler",
        "caption_guidance": "decoding.caption_guidance",
        "token_guidance": "decoding.token_guidance",
    }

    model: str
    """The bundled 'products', a pipeline or tokenizer folder, or a hub name."""
    out: Path
    """Folder of the ONNX files and manifest.json; replaced only where it holds an export."""
    weights: Weights = "fp32"
    """fp16: half the size, computed in fp32; int8: linear layers in 8 bits, the rest in fp16."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    tolerance: float = 1e-3
    """Largest difference from torch that is accepted in fp32, relative to the largest output where
    that is above 1."""

    def __post_init__(self) -> None:
        require_range("tolerance", self.tolerance, 0, open_low=True)


@dataclass(frozen=True, kw_only=True)
class ExportWebConfig(ExportONNXConfig):
    """All of ``textok export web``."""

    out: Path
    """Folder of the page, for any file server; replaced only where it holds such a page."""
    weights: Weights = "int8"
    """int8: linear layers in 8 bits, the rest in fp16; fp16: twice the size, computed in fp32."""
    runtime: Path | None = None
    """onnxruntime-web: the folder of the npm package or what `npm pack onnxruntime-web` wrote;
    without it npm fetches the package."""
    wasm_only: bool = False
    """Leave out WebGPU: the page is half the size and always computes on the CPU."""


@dataclass(frozen=True, kw_only=True)
class ExportDiffusersConfig:
    """All of ``textok export diffusers``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("model", "out")

    model: str
    """The bundled 'products', a pipeline folder, or a hub name."""
    out: Path
    """Folder that diffusers loads; replaced only where it holds such an export."""
