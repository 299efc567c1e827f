"""How fast the tokenizer is against a plain PyTorch version of it, and what it needs of memory.

    python -m benchmarks.tokenizer_speed --preset pictograms-64 --out docs/results/speed

Encoding, decoding and a training step (forward, backward, AdamW; squared error) of one preset
with random weights. The variants of a case take turns, so that a busy moment meets them all, and
are compared with the peer of the same turn. bf16 means bf16 weights in encoding and decoding, and
autocast in training, as textok itself does.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain_vit import PlainTokenizer
from benchmarks.speed_report import Row, Variant, write_report
from studies.command import as_command, read_arguments
from textok.config import TokenizerConfig, TrainTokenizerConfig, ViTConfig
from textok.config.check import require, require_range
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.runtime.device import autocast, best_device
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

SECONDS_A_TURN = 0.5
VARIANTS = [
    Variant(model="plain", compiled=False, precision="fp32"),
    Variant(model="plain", compiled=False, precision="bf16"),
    Variant(model="textok", compiled=False, precision="fp32"),
    Variant(model="textok", compiled=False, precision="bf16"),
    Variant(model="textok", compiled=True, precision="fp32"),
    Variant(model="textok", compiled=True, precision="bf16"),
]
TINY = ViTConfig(width=8, depth=1, heads=1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times of a tokenizer's variants beside those of a plain peer: JSON, Markdown and a plot."""

    preset: tuple[str, ...] = ("pictograms-64",)
    """Names or .yaml files, merged left to right."""
    batch: tuple[int, ...] = (1, 32)
    """Images a call; the training step and the memory take the largest."""
    threads: int = 0
    """CPU threads; 0 leaves the number to torch."""
    repeats: int = 9
    """Turns of each variant."""
    compile: bool = True
    """Also what torch.compile does, which takes minutes on a CPU."""
    out: Path = Path("docs/results/speed")
    """Folder for speed.json, speed.md and speed.png."""

    def __post_init__(self) -> None:
        require(bool(self.batch), "batch is empty: give one or several numbers of images")
        for name, value, low in (
            ("batch", min(self.batch), 1),
            ("threads", self.threads, 0),
            ("repeats", self.repeats, 1),
        ):
            require_range(name, value, low)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What every variant is asked to do."""

    tokenizer: TokenizerConfig
    task: str
    """``encode``, ``decode`` or ``train``."""
    batch: int
    device: str


def draw_inputs(case: Case, dtype: torch.dtype) -> tuple[Tensor, Tensor, TextFeatures | None]:
    """Images, tokens and text, the same for every variant.

    About half of the text tokens, a different number in each image, are padding.
    """
    config, batch = case.tokenizer, case.batch
    torch.manual_seed(0)
    images = torch.rand(batch, 3, config.image_size, config.image_size) * 2 - 1
    tokens = torch.randn(batch, config.num_tokens, config.channels)
    text = None
    if config.text != "none":
        lengths = torch.linspace(1, config.text_tokens, batch + 2)[1:-1].round()
        text = TextFeatures(
            states=torch.randn(batch, config.text_tokens, config.text_width),
            mask=torch.arange(config.text_tokens) < lengths[:, None],
        ).to(case.device, dtype)
    return images.to(case.device, dtype), tokens.to(case.device, dtype), text


def prepare(case: Case, variant: Variant) -> Callable[[], object]:
    """One call of the case's task by a new model with random weights."""
    training = case.task == "train"
    dtype = torch.bfloat16 if variant.precision == "bf16" and not training else torch.float32
    make = Tokenizer if variant.model == "textok" else PlainTokenizer
    model = make(case.tokenizer).to(case.device, dtype).train(training)
    images, tokens, text = draw_inputs(case, dtype)
    functions: dict[str, Callable[..., Any]] = {
        "encode": model.encode,
        "decode": model.decode,
        "train": model,
    }
    function = functions[case.task]
    if variant.compiled:
        function = torch.compile(function, fullgraph=True, dynamic=False)
    if not training:
        given = images if case.task == "encode" else tokens
        return torch.inference_mode()(lambda: function(given, text))

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with autocast(case.device, variant.precision):
            reconstructed: Tensor = function(images, text, noise_BKC=tokens).images
        F.mse_loss(reconstructed.float(), images).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def take_turns(case: Case, variants: list[Variant], repeats: int) -> list[list[float]]:
    """Seconds a call: one list a variant with one value a turn, each over half a second or more."""
    torch.compiler.reset()
    calls = [prepare(case, variant) for variant in variants]
    for call in calls:
        call()
    counts = [math.ceil(SECONDS_A_TURN / clock(call, 1, case.device)) for call in calls]
    seconds: list[list[float]] = [[] for _ in variants]
    for turn in range(repeats):
        # No variant always follows the same other one.
        for index in sorted(range(len(variants)), reverse=turn % 2 == 1):
            seconds[index].append(clock(calls[index], counts[index], case.device))
    return seconds


def peak_memory(case: Case, variant: Variant, threads: int) -> float:
    """MiB at the peak of a second call, weights and optimiser included; for a fresh process.

    On CUDA what torch allocates. On a CPU the growth of the resident set after a tiny model has
    loaded the libraries, and a trivial function the compiler; compiling the model is included.
    """
    torch.set_num_threads(threads)
    tiny = TokenizerConfig(
        image_size=8,
        patch_size=4,
        num_tokens=2,
        text=case.tokenizer.text,
        text_width=8,
        text_tokens=2,
        encoder=TINY,
        decoder=TINY,
    )
    warm = Case(tokenizer=tiny, task=case.task, batch=2, device=case.device)
    prepare(warm, replace(variant, compiled=False))()
    if variant.compiled:
        torch.compile(torch.neg)(torch.zeros(2, device=case.device))
    before = getrusage(RUSAGE_SELF).ru_maxrss
    call = prepare(case, variant)
    call()
    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() / 2**20
    call()
    grown = getrusage(RUSAGE_SELF).ru_maxrss - before
    return grown / (2**20 if sys.platform == "darwin" else 2**10)


def measure(config: TokenizerConfig, settings: Settings, variants: list[Variant]) -> list[Row]:
    """A row for each case and variant; the first variant is the peer of the others."""
    device, largest = best_device().type, max(settings.batch)
    cases = [
        Case(tokenizer=config, task=task, batch=batch, device=device)
        for task in ("encode", "decode", "train")
        for batch in ([largest] if task == "train" else settings.batch)
    ]
    # Memory first: a process's ru_maxrss starts from that of its parent, which is small by now.
    peaks: dict[tuple[str, Variant], float] = {}
    for case in cases:
        for variant in variants if case.batch == largest else []:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                peak = fresh.submit(peak_memory, case, variant, torch.get_num_threads()).result()
            peaks[case.task, variant] = peak
            print(f"{case.task} {case.batch} {variant.name}: {peak:.0f} MiB", flush=True)
    rows = []
    for case in cases:
        times = take_turns(case, variants, settings.repeats)
        for variant, seconds in zip(variants, times, strict=True):
            row = Row(
                task=case.task,
                batch=case.batch,
                variant=variant,
                seconds=seconds,
                peer_seconds=times[0],
                peak_mib=peaks[case.task, variant] if case.batch == largest else None,
            )
            rows.append(row)
            print(row.line(), flush=True)
    return rows


def clock(call: Callable[[], object], count: int, device: str) -> float:
    """Mean seconds of ``count`` calls in a row."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


@as_command("tokenizer_speed")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.tokenizer_speed")
    paths = [preset_path(name) for name in settings.preset]
    config = load_config(TrainTokenizerConfig, paths).tokenizer
    if settings.threads:
        torch.set_num_threads(settings.threads)
    rows = measure(config, settings, VARIANTS if settings.compile else VARIANTS[:4])
    write_report(rows, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
