"""A pipeline that generates faster on a GPU: as CUDA graphs, its blocks compiled or fused."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import get_args

import torch
from torch import nn

from textok.config.check import require
from textok.config.networks import CompileMode
from textok.generator import DiT, TokenGenerator
from textok.nn import fused
from textok.nn.adaptive_block import DiTBlock
from textok.runtime.blocks import repeated_parts
from textok.runtime.recorder import Recorder
from textok.tokenizer import Tokenizer


def compile_drawing(
    generator: TokenGenerator, tokenizer: Tokenizer, mode: CompileMode, *, device: torch.device
) -> None:
    """Let a generator sample and a tokenizer decode by ``mode``, in place of an earlier one.

    Warns of what ``device`` or the installation lack; generation goes on without it. Raises
    ValueError for another mode.
    """
    modes = get_args(CompileMode)
    require(mode in modes, f"compile: '{mode}' is unknown: use one of {', '.join(modes)}")
    on_gpu = device.type == "cuda"
    lacking = fused.lacking(device) if on_gpu and mode == "fused" else ""
    if not on_gpu:
        gain = "blocks are compiled alone" if mode in TORCH_MODES else "nothing changes"
        warnings.warn(
            f"compile: CUDA graphs need a CUDA device, this is {device.type}: {gain}", stacklevel=3
        )
    elif lacking:
        warnings.warn(
            f"compile: 'fused' needs Triton, which does not run here ({lacking}): the plain layers "
            "are recorded",
            stacklevel=3,
        )
    generator.recorder = tokenizer.recorder = Recorder()
    for network in (generator, tokenizer.decoder):
        fused.use_fused(network, on_gpu and mode == "fused" and not lacking)
        for block in _blocks(network):
            _compile_block(block, mode)


TORCH_MODES = {"blocks": "default", "autotune": "max-autotune-no-cudagraphs"}
"""Of ``torch.compile``."""


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Those that sampling and decoding call; a MaskGIT is sampled from as it is."""
    if isinstance(network, DiT) or not isinstance(network, TokenGenerator):
        yield from repeated_parts(network)


def _compile_block(block: nn.Module, mode: CompileMode) -> None:
    """Compile a block for one set of shapes, or leave it as written."""
    block._compiled_call_impl = None
    vars(block).pop("apply_prepared", None)
    if mode not in TORCH_MODES:
        return
    if isinstance(block, DiTBlock):
        # Steps of a generator call it alone, and forward calls it.
        compiled = torch.compile(block.apply_prepared, dynamic=False, mode=TORCH_MODES[mode])
        block.apply_prepared = compiled  # type: ignore[method-assign]
    else:
        block.compile(dynamic=False, mode=TORCH_MODES[mode])
