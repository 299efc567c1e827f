"""Tokenizers of photographs that differ in how they decode, on two kinds of machine.

Both decoders have nearly equal numbers of parameters: adaptive norms, shared by all blocks, and the
embedding of noisy patches cost about one block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from studies.pairs.study import Budget, Study
from studies.photographs import budgets as photographs

Decoder = Literal["regression", "flow"]
PRESETS: Mapping[Decoder, str] = {
    "regression": "photographs-64",
    "flow": "photographs-flow-64",
}
FEW = 8
"""K up to which the decoders are compared in one number."""
TOKENS = (4, 2, 8, 1, 16)
"""K of a pair each on a GPU; on a CPU of the first alone, and nested tokenizers tell the rest."""
CAPTIONS = ("true", "absent")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What both decoders' studies have in common, and what is a decoder's own."""

    common: Budget
    flags: Mapping[Decoder, tuple[str, ...]]
    nested: int
    """Tokens of the nested tokenizers."""


def shape(side: str, width: int, depth: int, heads: int) -> tuple[str, ...]:
    """Flags of the transformer of one side."""
    sizes = {"width": width, "depth": depth, "heads": heads}
    return tuple(
        word for name, size in sizes.items() for word in (f"--tokenizer.{side}.{name}", str(size))
    )


def discriminator(start: int, base: int) -> tuple[str, ...]:
    """Flags of the adversarial loss, from step ``start`` on."""
    sizes = ("--loss.gan.start", str(start), "--loss.gan.base", str(base))
    return (*photographs.ADVERSARIAL, *sizes)


CPU_STEPS = 1_500
CPU = Scale(
    common=replace(
        photographs.CPU,
        tokens=TOKENS[:1],
        seeds=(0,),
        places_at=0,
        captions=CAPTIONS,
        steps=CPU_STEPS,
        speed=replace(photographs.CPU.speed, training=45, measuring=6, drawing=5),
    ),
    flags={
        "regression": (*shape("decoder", 192, 5, 3), *discriminator(CPU_STEPS // 2, 64)),
        "flow": shape("decoder", 192, 4, 3),
    },
    nested=max(TOKENS),
)
GPU_STEPS = 8_000
GPU = Scale(
    common=replace(
        photographs.GPU,
        tokens=TOKENS,
        places_at=0,
        captions=CAPTIONS,
        steps=GPU_STEPS,
        flags=(*shape("encoder", 384, 6, 6), "--optim.lr", "5e-4", "--data.cache", "device"),
        speed=replace(photographs.GPU.speed, measuring=200, drawing=200),
    ),
    flags={
        "regression": (*shape("decoder", 384, 6, 6), *discriminator(GPU_STEPS // 2, 256)),
        "flow": shape("decoder", 384, 5, 6),
    },
    nested=max(TOKENS),
)
TOY = Scale(
    common=replace(photographs.TOY, places_at=0, captions=CAPTIONS),
    flags={
        "regression": shape("decoder", 32, 2, 1),
        "flow": (*shape("decoder", 32, 1, 1), "--tokenizer.sampling.steps", "2"),
    },
    nested=2,
)
SCALES = {"cpu": CPU, "gpu": GPU, "toy": TOY}


def studies_of(scale: Scale, data: Path, runs: Path, *, rows: int = 0) -> dict[Decoder, Study]:
    """A study for each decoder, in folders side by side; a DiT by class on the latents of each."""
    return {
        decoder: replace(
            photographs.study_of(
                replace(scale.common, flags=(*scale.common.flags, *scale.flags[decoder])),
                data,
                runs,
                rows=rows,
            ),
            runs=runs / decoder,
            caches=runs,
            tokenizer=preset,
            generators=(("class", "dit-photographs-64-class"),),
        )
        for decoder, preset in PRESETS.items()
    }
