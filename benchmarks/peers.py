"""Encoding and decoding beside 1d-tokenizer's TiTok, SD-VAE and DC-AE, in one run.

    python -m benchmarks.peers --one-d-tokenizer CHECKOUT --threads 1

CHECKOUT is a checkout of bytedance/1d-tokenizer (commit 942a96f), which needs omegaconf and
accelerate; without it its rows are left out. All weights are random. textok has 1d-tokenizer's,
converted, and nothing is timed unless codes and pixels are the same. Every case is written when it
is measured, and the same command goes on.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.peers_report import Report, Row
from benchmarks.peers_sides import TITOKS, Side, autoencoders, titok_pair
from studies.command import as_command, read_arguments
from textok.config.check import require, require_range
from textok.runtime.device import Precision, trained_in

MODELS = (*TITOKS, "SD-VAE", "DC-AE f32c32", "DC-AE f64c128")
PEER = "1d-tokenizer"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Seconds an image of image tokenizers on a CPU: JSON and Markdown."""

    one_d_tokenizer: Path | None = None
    """Checkout of bytedance/1d-tokenizer."""
    models: tuple[str, ...] = MODELS
    """Which of TiTok-S-128, TiTok-B-64, TiTok-L-32, SD-VAE, 'DC-AE f32c32', 'DC-AE f64c128'."""
    batch: tuple[int, ...] = (1, 32)
    """Images at once."""
    precision: tuple[Precision, ...] = ("fp32", "bf16")
    threads: int = 0
    """CPU threads; 0 leaves the number to torch."""
    turns: int = 5
    """Calls of each side, after one that warms up."""
    out: Path = Path("docs/results/peers")
    """Folder for peers.json and peers.md."""

    def __post_init__(self) -> None:
        for name in self.models:
            require(name in MODELS, f"models: '{name}' is none of {', '.join(MODELS)}")
        require(bool(self.precision), "precision is empty: give fp32, bf16 or both")
        require_range("batch", min(self.batch, default=0), 1)
        require_range("threads", self.threads, 0)
        require_range("turns", self.turns, 1)


def sides(
    model: str, settings: Settings, precision: Precision
) -> tuple[list[Side], dict[str, str]]:
    """All that run a model, the peer first, and what is said of their equality."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    if model not in TITOKS:
        return [autoencoders(dtype)[model]()], {}
    found, said = titok_pair(model, settings.one_d_tokenizer, dtype)
    return found, {model: said} if said else {}


def measure(
    model: str, given: list[Side], precision: Precision, batch: int, turns: int
) -> Iterator[Row]:
    """Rows of encoding and decoding."""
    torch.manual_seed(0)
    images, latents = torch.rand(batch, 3, 256, 256) * 2 - 1, given[0].draw(batch)
    for task in ("encode", "decode"):
        calls: list[Callable[[], object]] = [
            partial(side.encode, images) if task == "encode" else partial(side.decode, latents)
            for side in given
        ]
        cpu, wall = take_turns(calls, turns)
        peer = given[0].name == PEER
        for index, side in enumerate(given):
            row = Row(
                model=model,
                side=side.name,
                task=task,
                precision=precision,
                batch=batch,
                cpu=cpu[index],
                wall=wall[index],
                peer_cpu=cpu[0] if peer else [],
                peer_wall=wall[0] if peer else [],
            )
            print(" | ".join(row.cells()), flush=True)
            yield row


@torch.inference_mode()
def take_turns(
    calls: list[Callable[[], object]], turns: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Seconds of each call in each turn by the process's clock, and by the wall's."""
    cpu: list[list[float]] = [[] for _ in calls]
    wall: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for turn in range(turns):
        # No call always follows the same other one.
        for index in sorted(range(len(calls)), reverse=turn % 2 == 1):
            began, start = time.perf_counter(), time.process_time()
            calls[index]()
            cpu[index].append(time.process_time() - start)
            wall[index].append(time.perf_counter() - began)
    return cpu, wall


def run(settings: Settings, report: Report) -> None:
    """Measure what the report lacks."""
    if settings.one_d_tokenizer is None:
        print(f"{PEER}: left out, give --one-d-tokenizer its checkout", flush=True)
    for batch in settings.batch:
        for precision in settings.precision:
            if trained_in("cpu", precision) != precision:
                print(f"{precision}: left out, it is slow on this CPU", flush=True)
                continue
            for model in settings.models:
                if report.has(model, precision, batch):
                    print(f"{model}, {precision}, batch {batch}: already measured", flush=True)
                    continue
                given, equal = sides(model, settings, precision)
                rows = list(measure(model, given, precision, batch, settings.turns))
                report.add(rows, equal)
                del given
                gc.collect()


@as_command("peers")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.peers")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    run(settings, Report(settings.out, arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
