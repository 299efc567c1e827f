"""What it takes to sample an image instead of predicting it, as a ratio.

    python -m benchmarks.flow_decoding --out docs/results/flow-decoder

Decoding by random weights: the flow decoder of one preset in 1 to 50 steps, beside a decoder by
regression of nearly as many parameters. All take turns, so that a busy moment meets them all, and
are compared with the regression of the same turn. Guidance of either kind adds a pass to each step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.tokenizer_speed import clock
from studies.command import run_command
from studies.pairs.summary import describe_hardware
from textok.config import DecodingConfig, TokenizerConfig, TrainTokenizerConfig
from textok.config.check import require_range
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.evaluate.markdown import markdown_table
from textok.runtime.device import best_device
from textok.runtime.files import write_text
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

STEPS = (1, 2, 4, 8, 16, 50)
MOST_DEPTH = 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of decoding."""

    name: str
    milliseconds: float
    """Of an image, the median over turns."""
    ratio: float
    """To regression in the same turn, the median over turns."""


def regression_of(flow: TokenizerConfig) -> TokenizerConfig:
    """The same with a decoder by regression, of the depth that comes nearest in parameters."""
    goal = parameters(flow)
    plain = replace(flow, decoding="regression")
    depths = (
        replace(plain, decoder=replace(plain.decoder, depth=depth))
        for depth in range(1, min(MOST_DEPTH, 2 * flow.decoder.depth + 4))
    )
    return min(depths, key=lambda config: abs(parameters(config) - goal))


def parameters(config: TokenizerConfig) -> int:
    """Of both sides."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in Tokenizer(config).parameters())


def decoders(
    flow: TokenizerConfig, *, batch: int, steps: Sequence[int], device: str
) -> dict[str, Callable[[], Tensor]]:
    """One call of each way, the regression first."""
    tokens = torch.randn(batch, flow.num_tokens, flow.channels, device=device)
    text = None
    if flow.text != "none":
        text = TextFeatures(
            states=torch.randn(batch, flow.text_tokens, flow.text_width),
            mask=torch.ones(batch, flow.text_tokens, dtype=torch.bool),
        ).to(device)
    plain, sampling = (
        Tokenizer(config).to(device).eval() for config in (regression_of(flow), flow)
    )
    calls: dict[str, Callable[[], Tensor]] = {
        "regression": torch.inference_mode()(lambda: plain.decode(tokens, text))
    }
    for count in steps:
        decoding = replace(DecodingConfig(), steps=count)
        name = f"flow, {count} step{'s' if count > 1 else ''}"
        calls[name] = torch.inference_mode()(
            lambda decoding=decoding: sampling.decode(tokens, text, decoding=decoding)
        )
    return calls


def measure(
    calls: Mapping[str, Callable[[], Tensor]], *, batch: int, turns: int, device: str
) -> list[Row]:
    """A row for each call; the first is what the others are compared with."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for turn in range(turns):
        # No way always follows the same other one.
        for name in sorted(calls, reverse=turn % 2 == 1):
            seconds[name].append(clock(calls[name], 1, device))
    peer = next(iter(seconds.values()))
    return [
        Row(
            name=name,
            milliseconds=1000 * median(times) / batch,
            ratio=median(time / other for time, other in zip(times, peer, strict=True)),
        )
        for name, times in seconds.items()
    ]


def main(
    *,
    preset: tuple[str, ...] = ("photographs-flow-64",),
    batch: int = 32,
    turns: int = 7,
    out: Path = Path("docs/results/flow-decoder"),
) -> None:
    """Measure and write ``decoding.json`` and ``decoding.md``.

    Args:
        preset: Names or .yaml files of a flow tokenizer, merged left to right.
        batch: Images at once.
        turns: Calls of each way.
        out: Folder of the table.
    """
    require_range("batch", batch, 1)
    require_range("turns", turns, 1)
    flow = load_config(TrainTokenizerConfig, [preset_path(name) for name in preset]).tokenizer
    device = best_device().type
    calls = decoders(flow, batch=batch, steps=STEPS, device=device)
    rows = measure(calls, batch=batch, turns=turns, device=device)
    counts = {"regression": parameters(regression_of(flow)), "flow": parameters(flow)}
    hardware = describe_hardware()
    found = {
        "preset": " ".join(preset),
        "batch": batch,
        "parameters": counts,
        "hardware": hardware,
        "rows": [asdict(row) for row in rows],
    }
    told = hardware["gpu"] or f"{hardware['threads']} threads of {hardware['cpu']}"
    lines = [
        "    python -m benchmarks.flow_decoding",
        "",
        f"Decoding {batch} images at once by `{' '.join(preset)}` with random weights, medians of "
        f"{turns} turns,",
        f"on {told}. Parameters: regression {counts['regression']:,}, flow {counts['flow']:,}.",
        "",
        *markdown_table(
            ["decoder", "ms an image", "over regression"],
            [[row.name, f"{row.milliseconds:.2f}", f"{row.ratio:.2f}"] for row in rows],
        ),
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "decoding.json", json.dumps(found, indent=1) + "\n")
    write_text(out / "decoding.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    run_command(main, "benchmarks.flow_decoding", description=__doc__)
