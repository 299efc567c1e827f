"""Pretrained networks: those that judge images, those that a tokenizer is trained against, and in
which numbers trained models run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from textok.config.check import require

FeatureNetworkName = Literal[
    "efficientnet_lite0", "vgg16", "alexnet", "inception", "inception_spatial"
]
"""Networks with a name of their own whose features a Frechet distance can be measured in."""
INCEPTION = ("inception", "inception_spatial")
"""Those that read Inception's file of weights."""
Resizing = Literal["tensorflow", "clean"]
"""Of images before Inception. ``tensorflow``: bilinear without antialiasing, as TensorFlow 1
resizes in the graph that ADM's evaluator runs. ``clean``: bicubic with antialiasing, as Pillow
resizes and clean-fid asks for (arXiv 2104.11222)."""
RunPrecision = Literal["fp32", "tf32", "bf16"]
"""What a trained model runs in. ``tf32``: matrix products and convolutions of a CUDA device with
inputs rounded to 10 bits of mantissa. ``bf16``: as trainings in bf16 run, with weights in fp32."""
CompileMode = Literal["graph", "blocks", "autotune", "fused"]
"""How a pipeline generates faster on a GPU. ``graph``: sampling and decoding are each recorded as
one CUDA graph for each batch size and each sampling; ``blocks``: their blocks are compiled by torch
before; ``autotune``: with the fastest matrix products found by trying, for minutes; ``fused``:
norms and gated sums by Triton kernels instead, then recorded."""
CompileSetting = Literal["no", CompileMode]
"""One of them, or none."""
UNKNOWN = "unknown"
"""In place of the losses of a tokenizer whose folder does not name them."""
_BACKBONES = {"lpips_vgg": "vgg16", "lpips_alex": "alexnet"}


def require_feature_network(name: str) -> None:
    """Refuse what is no ``FeatureNetworkName`` and can be neither a folder nor a hub name."""
    known = get_args(FeatureNetworkName)
    require(
        name in known or "/" in name or Path(name).is_dir(),
        f"feature network '{name}' is unknown: use {', '.join(known)}, or the folder or hub name "
        "of an image network of transformers",
    )


def backbones(losses: Iterable[str]) -> set[str]:
    """The networks of perceptual losses, which are mostly called as these are."""
    return {_BACKBONES.get(loss, loss) for loss in losses}
