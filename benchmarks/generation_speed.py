"""How long a picture takes, and what is gained over calling the generator's ``forward`` each step.

    python -m benchmarks.generation_speed --out docs/results/generation-speed

A pipeline of prompts draws 1, 4 and 16 pictures, each of a prompt of its own, with guidance and
without; text, sampling and decoding are timed apart. The peer walks the same steps with the same
sampler, and computes everything anew at each, as one would write it first. The variants of a case
take turns, so that a busy moment meets them all, and are compared with the peer of the same turn.
bf16 means bf16 weights of generator and tokenizer; the text encoder is what the pipeline names. A
cold start is `textok generate` for one picture, from the start of the process to its end.
"""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.generation_report import STAGES, Row, write_report
from benchmarks.speed_report import Variant
from benchmarks.tokenizer_speed import clock
from studies.command import as_command, read_arguments
from textok.config.bundled import BUNDLED
from textok.config.check import require, require_range
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.generator import DiT, sample
from textok.generator.dit import Prepared
from textok.generator.mean_flow import MeanFlowCondition, sample_mean_flow
from textok.pipeline import PipelineParts, load_pipeline
from textok.runtime.blocks import compile_network
from textok.runtime.device import best_device
from textok.text import TextFeaturesSource, open_features
from textok.text.open import same_features
from textok.types import Condition, TextFeatures

SECONDS_A_TURN = 0.3
COLD_STARTS = 3
VARIANTS = [
    Variant(model="plain", compiled=False, precision="fp32"),
    Variant(model="textok", compiled=False, precision="fp32"),
    Variant(model="textok", compiled=False, precision="bf16"),
    Variant(model="textok", compiled=True, precision="fp32"),
    Variant(model="textok", compiled=True, precision="bf16"),
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times of a pipeline's stages, and of a cold start: JSON and Markdown."""

    model: str = BUNDLED
    """A pipeline that draws prompts: the bundled one, a folder or a hub name."""
    pictures: tuple[int, ...] = (1, 4, 16)
    """Pictures at once."""
    steps: int | None = None
    """Of the sampler, instead of the model's own."""
    threads: int = 0
    """CPU threads; 0 leaves the number to torch."""
    repeats: int = 5
    """Turns of each variant."""
    compile: bool = True
    """Also what torch.compile does, which takes minutes on a CPU."""
    cold: bool = True
    """Also time `textok generate` as a process of its own."""
    out: Path = Path("docs/results/generation-speed")
    """Folder for speed.json and speed.md."""

    def __post_init__(self) -> None:
        require(bool(self.pictures), "pictures is empty: give one or several numbers")
        for name, value, low in (
            ("pictures", min(self.pictures), 1),
            ("threads", self.threads, 0),
            ("repeats", self.repeats, 1),
        ):
            require_range(name, value, low)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What every variant is asked to do."""

    parts: PipelineParts
    sampling: SamplingConfig
    pictures: int
    device: str

    @property
    def one_pass(self) -> bool:
        """Whether a step is one pass of the network, with guidance as without."""
        return self.sampling.sampler == "meanflow"

    @property
    def guided(self) -> bool:
        return self.sampling.guidance.scale != 1


Anew = tuple[Condition, Tensor, MeanFlowCondition | None]


class Plain:
    """A generator for ``sample`` that computes everything at each step."""

    def __init__(self, generator: DiT) -> None:
        self.config: GeneratorConfig = generator.config
        self._generator = generator

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._generator.parameters()

    def prepare(
        self, condition: Condition, times_S: Tensor, *, mean_flow: MeanFlowCondition | None = None
    ) -> Anew:
        return condition, times_S, mean_flow

    def step(self, x_BKC: Tensor, index: int, prepared: Anew) -> Tensor:
        condition, times_S, mean_flow = prepared
        rows = torch.full((len(x_BKC),), index, device=x_BKC.device)
        told = None if mean_flow is None else mean_flow[rows]
        return self._generator(x_BKC, times_S[rows], condition, mean_flow=told)


class Compiled:
    """A generator for ``sample`` whose steps are compiled."""

    def __init__(self, generator: DiT) -> None:
        self.config: GeneratorConfig = generator.config
        self.parameters = generator.parameters
        self.prepare = generator.prepare
        self.step: Callable[[Tensor, int, Prepared], Tensor] = torch.compile(
            generator.step, fullgraph=True
        )


def walker(generator: DiT, variant: Variant) -> Any:
    """The generator as the variant takes its steps."""
    if variant.model == "plain":
        return Plain(generator)
    return Compiled(generator) if variant.compiled else generator


class Readers:
    """The pipeline's text encoders, each once; every caption that they read is a new one."""

    def __init__(self, parts: PipelineParts, device: str) -> None:
        assert parts.text is not None
        self.prompts = open_features(parts.text, device=device, one_by_one=True)
        self.captions: TextFeaturesSource | None = None
        config = parts.tokenizer.text_config
        if config is not None and parts.tokenizer.config.decoder_reads_text:
            self.captions = (
                self.prompts
                if same_features(config, parts.text)
                else open_features(config, device=device, one_by_one=True)
            )
        self.number = 0

    def __call__(self, count: int) -> tuple[TextFeatures, TextFeatures | None]:
        """What the generator and the decoder read of ``count`` new prompts."""
        prompts = [f"a red apple, number {self.number + index}" for index in range(count)]
        self.number += count
        return self.prompts(prompts), self.captions(prompts) if self.captions else None


def prepare(case: Case, variant: Variant, readers: Readers) -> dict[str, Callable[[], object]]:
    """A call for each of STAGES."""
    dtype = torch.bfloat16 if variant.precision == "bf16" else torch.float32
    generator = copy.deepcopy(case.parts.generator).to(case.device, dtype).eval()
    tokenizer = copy.deepcopy(case.parts.tokenizer).to(case.device, dtype).eval()
    assert isinstance(generator, DiT) and case.parts.scale is not None
    scale = case.parts.scale.to(case.device)
    prompts, captions = readers(case.pictures)
    condition, seeds = Condition(text=prompts), range(case.pictures)
    network = walker(generator, variant)
    decode: Callable[..., Tensor] = tokenizer.decode
    if variant.compiled and tokenizer.config.decoding == "flow":
        compile_network(tokenizer.decoder)  # the noise of a seed cannot be traced
    elif variant.compiled:
        decode = torch.compile(decode, fullgraph=True, dynamic=False)

    walk: Callable[..., Tensor] = sample_mean_flow if case.one_pass else sample

    def draw() -> Tensor:
        return walk(network, condition, sampling=case.sampling, seeds=seeds)

    tokens = scale.denormalise(draw())
    return {
        "text": lambda: readers(case.pictures),
        "sampling": draw,
        "decoding": torch.inference_mode()(lambda: decode(tokens, captions)),
    }


def take_turns(
    case: Case, variants: list[Variant], readers: Readers, repeats: int
) -> list[dict[str, list[float]]]:
    """Seconds of each stage in each turn: one mapping a variant."""
    torch.compiler.reset()
    calls = [prepare(case, variant, readers) for variant in variants]
    counts = [{stage: _count(call, case.device) for stage, call in one.items()} for one in calls]
    seconds: list[dict[str, list[float]]] = [{stage: [] for stage in STAGES} for _ in variants]
    for turn in range(repeats):
        # No variant always follows the same other one.
        for index in sorted(range(len(variants)), reverse=turn % 2 == 1):
            for stage in STAGES:
                count = counts[index][stage]
                seconds[index][stage].append(clock(calls[index][stage], count, case.device))
    return seconds


def measure(parts: PipelineParts, settings: Settings, variants: list[Variant]) -> list[Row]:
    """A row for each case and variant; the first variant is the peer of the others."""
    device = best_device().type
    readers = Readers(parts, device)
    own = parts.sampling
    steps = own.steps if settings.steps is None else settings.steps
    guided = replace(own, steps=steps)
    plain = replace(guided, guidance=replace(own.guidance, scale=1.0))
    rows = []
    for pictures in settings.pictures:
        for sampling in dict.fromkeys((guided, plain)):
            case = Case(parts=parts, sampling=sampling, pictures=pictures, device=device)
            if case.one_pass and not case.guided:
                continue  # it costs the same
            times = take_turns(case, variants, readers, settings.repeats)
            for variant, seconds in zip(variants, times, strict=True):
                row = Row(
                    pictures=pictures,
                    guided=case.guided,
                    variant=variant,
                    seconds=seconds,
                    peer_sampling=times[0]["sampling"],
                )
                rows.append(row)
                print(" | ".join(row.cells()), flush=True)
    return rows


def cold_starts(model: str, threads: int) -> list[float]:
    """Seconds of `textok generate` for one picture, from start to exit, several times."""
    words = ["generate", "a red apple", "--num-images", "1", "--model", model]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads or torch.get_num_threads())}
    seconds = []
    for _ in range(COLD_STARTS):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "textok.cli", *words, "--out", out]
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    return seconds


def _count(call: Callable[[], object], device: str) -> int:
    """Calls that take long enough for a turn, after one that warms up."""
    call()
    return math.ceil(SECONDS_A_TURN / clock(call, 1, device))


@as_command("generation_speed")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.generation_speed")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    parts = load_pipeline(settings.model)
    drawn = parts.generator.config.condition
    require(drawn == "text", f"{settings.model} draws classes: name a pipeline of prompts")
    require(
        isinstance(parts.generator, DiT),
        f"{settings.model} draws codes: this measures the steps of a DiT",
    )
    rows = measure(parts, settings, VARIANTS if settings.compile else VARIANTS[:3])
    cold = cold_starts(settings.model, settings.threads) if settings.cold else []
    write_report(rows, cold, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
