"""A whole picture from seed to pixels, in each way that a pipeline draws on a GPU.

Rows of `benchmarks.gpu`, beside the original pipeline that `benchmarks.parts` times: both goals are
decided by them. Unlike sums of parts they hold the arithmetic between the steps, the noise from the
host and what is prepared from the condition.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.parts import Bench
from benchmarks.parts_report import OUR_STEPS, PEER_STEPS
from benchmarks.sampling import Settings as SamplingSettings
from benchmarks.sampling import read_presets
from benchmarks.sampling_sides import Place, TexTok
from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.config.networks import CompileMode
from textok.pipeline.compile import compile_drawing
from textok.types import Condition

SAMPLINGS = {
    OUR_STEPS: SamplingConfig(sampler="dpmpp", steps=OUR_STEPS, guidance=GuidanceConfig(scale=1.5)),
    PEER_STEPS: SamplingConfig(
        sampler="ddim", steps=PEER_STEPS, guidance=GuidanceConfig(scale=1.5)
    ),
}
"""Our short walk, and the peer's own sampler with as many steps."""
MODES: dict[str, CompileMode] = {
    "recorded": "graph",
    "fused": "fused",
    "compiled": "blocks",
    "autotuned": "autotune",
}
"""What a way of the report is called by ``TextToImage.compile``."""
LONG = ("fused", "compiled", "autotuned")
"""Ways in which the long walk is timed too: a minute of eager steps would tell nothing new."""


def measure_pictures(
    asked: SamplingSettings, ways: Sequence[str], bench: Bench, *, long_steps: int = PEER_STEPS
) -> None:
    """One picture by class in bf16, by each of ``ways``; the long walk has ``long_steps``."""
    tokenizer, training = read_presets(asked, asked.tokens[0])
    place = Place(device=bench.device.type, dtype=torch.bfloat16, compiled=False)
    side = TexTok(tokenizer, training.generator, place)
    condition = Condition(labels=torch.zeros(1, dtype=torch.int64, device=bench.device))

    def draw(sampling: SamplingConfig) -> Tensor:
        tokens_BKC = side.generator.sample(condition, sampling=sampling, seeds=[0])
        with torch.inference_mode():
            return side.decode(tokens_BKC)

    for way in ways:
        if way in MODES:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="compile: CUDA graphs need a CUDA device")
                compile_drawing(side.generator, side.tokenizer, MODES[way], device=bench.device)
        for steps in (OUR_STEPS, *((PEER_STEPS,) if way in LONG else ())):
            sampling = SAMPLINGS[steps]
            if steps == PEER_STEPS and long_steps != steps:
                sampling = SamplingConfig(sampler="ddim", steps=long_steps)
            bench.time(f"TexTok, picture in {steps}", way, 1, partial(draw, sampling))
