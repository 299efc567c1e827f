"""The official modules of a checkout of bytedance/1d-tokenizer (commit 942a96f), for fixtures.

Needs omegaconf, transformers, accelerate and huggingface_hub. No test imports this file.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.convert.recipe import weights

TINY = {"small": (32, 2, 2), "base": (48, 3, 3), "large": (64, 2, 4)}
"""Width, depth and heads in place of the published sizes."""
TINY_PIXELS = {"hidden_channels": 32, "z_channels": 24}
TINY_CODES = 96

UNUSED = {
    "modeling.modules.losses": (
        "ReconstructionLoss_Stage1 ReconstructionLoss_Stage2 ReconstructionLoss_Single_Stage "
        "MLMLoss ARLoss"
    ),
    "modeling.modules.ema_model": "EMAModel",
}
"""Imported by the package, needed by none of the models; they would ask for torchvision."""


class Peer:
    """Official classes with the published sizes or, ``tiny``, with small ones."""

    def __init__(self, root: Path, *, tiny: bool) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "modeling"]:
            del sys.modules[name]
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
        for name, words in UNUSED.items():
            sys.modules[name] = types.ModuleType(name)
            for word in words.split():
                setattr(sys.modules[name], word, None)
        if tiny:
            _shrink_transformers(importlib.import_module("modeling.modules.blocks"))
            _fewer_groups(importlib.import_module("modeling.modules.maskgit_vqgan"))
        self.titok: Any = importlib.import_module("modeling.titok")
        if tiny:
            _shrink_vqgan(self.titok)
        self.tatitok: Any = importlib.import_module("modeling.tatitok")
        self.maskgit: Any = importlib.import_module("modeling.maskgit")

    def build(self, kind: str, config: dict[str, Any]) -> nn.Module:
        """A model with the recipe's weights, in eval mode."""
        if kind == "vqgan":
            return self._vqgan()
        cls = {
            "titok": self.titok.TiTok,
            "tatitok": self.tatitok.TATiTok,
            "bert": self.maskgit.ImageBert,
            "uvit": self.maskgit.UViTBert,
        }[kind]
        model: nn.Module = cls(config)
        model.load_state_dict(weights(shapes(model)))
        return model.eval()

    def _vqgan(self) -> nn.Module:
        """The official class reads its weights from a file: it is given the recipe's."""
        conf = self.titok.OmegaConf.create(
            {
                "channel_mult": [1, 1, 2, 2, 4],
                "num_resolutions": 5,
                "dropout": 0.0,
                "hidden_channels": 128,
                "num_channels": 3,
                "num_res_blocks": 2,
                "resolution": 256,
                "z_channels": 256,
            }
        )
        parts = nn.Module()
        parts.encoder = self.titok.Pixel_Eecoder(conf)
        parts.decoder = self.titok.Pixel_Decoder(conf)
        parts.quantize = self.titok.Pixel_Quantizer(1024, 256, commitment_cost=0.25)
        with tempfile.NamedTemporaryFile() as file:
            torch.save(weights(shapes(parts)), file.name)
            return self.titok.PretrainedTokenizer(file.name)


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in model.state_dict().items()}


@contextmanager
def uniform_from(seed: int) -> Iterator[None]:
    """Within, ``Tensor.uniform_`` draws from a generator of its own."""
    generator, original = torch.Generator().manual_seed(seed), torch.Tensor.uniform_

    def drawn(self: torch.Tensor, low: float = 0, high: float = 1) -> torch.Tensor:
        return original(self, low, high, generator=generator)

    torch.Tensor.uniform_ = drawn  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        torch.Tensor.uniform_ = original  # type: ignore[method-assign]


def _shrink_transformers(blocks: types.ModuleType) -> None:
    """Run the module's source again with the sizes of ``TINY``: encoder, then decoder."""
    columns = itertools.cycle(range(3))

    def sizes(_: re.Match[str]) -> str:
        column = next(columns)
        return ", ".join(f'"{name}": {size[column]}' for name, size in TINY.items())

    source = inspect.getsource(blocks)
    source, tables = re.subn(r'"small": \d+,\s+"base": \d+,\s+"large": \d+', sizes, source)
    source, heads = re.subn(r"2 \* self\.width, 1024,", f"2 * self.width, {TINY_CODES},", source)
    assert (tables, heads) == (6, 1), "the peer's source is another one"
    exec(compile(source, "blocks-tiny", "exec"), blocks.__dict__)


def _fewer_groups(vqgan: types.ModuleType) -> None:
    """32 groups ask for 128 channels: fewer, of four channels, where there are less."""
    source, norms = re.subn(
        r"num_groups=32, num_channels=([\w.]+)",
        r"num_groups=min(32, \1 // 4), num_channels=\1",
        inspect.getsource(vqgan),
    )
    assert norms == 4, "the peer's source is another one"
    exec(compile(source, "vqgan-tiny", "exec"), vqgan.__dict__)


def _shrink_vqgan(titok: Any) -> None:
    encoder, decoder, codebook = titok.Pixel_Eecoder, titok.Pixel_Decoder, titok.Pixel_Quantizer
    merge = titok.OmegaConf.merge
    titok.Pixel_Eecoder = lambda conf: encoder(merge(conf, TINY_PIXELS))
    titok.Pixel_Decoder = lambda conf: decoder(merge(conf, TINY_PIXELS))
    titok.Pixel_Quantizer = lambda *_, commitment_cost, **__: codebook(
        TINY_CODES, TINY_PIXELS["z_channels"], commitment_cost
    )
