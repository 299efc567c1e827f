"""What short token sequences buy: DiT-XL/2 at 512 px as it was, against TexTok's K tokens.

    python -m benchmarks.sampling --out docs/results/sampling-speed    # needs textok[bench]

Both sides have random weights and draw classes with guidance: at each step two rows a picture go
through the network. The peer is diffusers' DiT over the SD-VAE's latents, `--steps` steps.
TexTok is measured in three ways for each K: (a) with as many steps of the preset's own sampler,
(b) with `--sampler` and `--sampler-steps`, the short walk that one would draw with, (c) in one step
of MeanFlow, whose guidance is a condition, so that one row a picture goes through the network; (c)
also with `--decoders`, for what a smaller decoder would bring. The caption that the decoder reads
comes from a class's list, whose text features are computed once for all pictures: the text encoder
is timed apart, and counts in the last column alone.

On a CPU only a few steps are walked and their median is multiplied (`--steps-timed`); the report
says whether later steps cost what the first ones did. bf16 means bf16 weights.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from benchmarks.sampling_report import Row, write_report
from benchmarks.sampling_sides import Place, PlainDiT, TexTok
from benchmarks.sampling_text import time_text_encoder
from benchmarks.sampling_timing import Case, Clock, count_flops, time_case
from studies.command import as_command, read_arguments
from textok.config import TokenizerConfig, TrainGeneratorConfig, TrainTokenizerConfig
from textok.config.check import require, require_range
from textok.config.generator import GuidanceConfig, ObjectiveConfig, Sampler, SamplingConfig
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.config.tokenizer import VIT_SIZES
from textok.runtime.device import Precision, best_device

CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Seconds an image and ratio to the original DiT-XL/2: JSON, Markdown and a plot."""

    tokens: tuple[int, ...] = (32, 64, 128, 256)
    """K of TexTok."""
    batch: tuple[int, ...] = (1, 8, 32)
    """Pictures at once."""
    tokenizer: tuple[str, ...] = ("textok-512",)
    """Names or .yaml files of the tokenizer, merged left to right."""
    generator: tuple[str, ...] = ("dit-class", "dit-xl")
    """Names or .yaml files of the generator; the peer has a network of the same shape."""
    steps: int = 250
    """Of the peer, and of (a)."""
    sampler: Sampler = "dpmpp"
    """Of (b)."""
    sampler_steps: int = 16
    """Of (b)."""
    decoders: tuple[str, ...] = ("S/16", "B/32", "S/32")
    """Of further rows of (c): a ViT's size and patch, which differ from the tokenizer's."""
    guidance: float = 1.5
    """Scale at every step of both sides, not 1."""
    steps_timed: int = -1
    """Steps that are walked at least; 0 for all, -1 for all on a GPU and 4 on a CPU."""
    precision: tuple[Precision, ...] = ()
    """Empty: fp32 and bf16 on a CPU, bf16 on a GPU."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """torch.compile both sides, on CUDA with recorded graphs; auto: on a GPU."""
    device: str = "auto"
    threads: int = 0
    """CPU threads; 0 leaves the number to torch."""
    clock: Literal["wall", "cpu"] = "wall"
    """``cpu``: time of the process on one CPU thread, for a machine that others use too."""
    out: Path = Path("docs/results/sampling-speed")
    """Folder for sampling.json, sampling.md and sampling.png."""

    def __post_init__(self) -> None:
        for name, given in (("tokens", self.tokens), ("batch", self.batch)):
            require(bool(given), f"{name} is empty: give one or several numbers")
            require_range(name, min(given), 1)
        require_range("threads", self.threads, 0)
        require(self.steps_timed != 1, "steps_timed: at least 2, as the first starts up")
        require_range("steps_timed", self.steps_timed, -1)
        require(
            self.clock == "wall" or (self.threads == 1 and self.device == "cpu"),
            "clock cpu adds up all threads: give it --threads 1 --device cpu",
        )
        for name in self.decoders:
            size, _, patch = name.partition("/")
            require(
                size in VIT_SIZES and patch.isdigit() and int(patch) > 0,
                f"decoders: '{name}' is not a size of {sorted(VIT_SIZES)} and a patch, as in S/16",
            )
        require(self.guidance != 1, "guidance is 1, which is none: give another scale")
        if importlib.util.find_spec("diffusers") is None:
            raise ValueError("the peer is diffusers' DiT: pip install 'textok[bench]'")


def read_presets(settings: Settings, tokens: int) -> tuple[TokenizerConfig, TrainGeneratorConfig]:
    """The tokenizer of so many tokens, and all that says how its generator is made."""
    paths = [preset_path(name) for name in settings.tokenizer]
    top = {"tokenizer": {"num_tokens": tokens}}
    tokenizer = load_config(TrainTokenizerConfig, paths, top).tokenizer
    known = {"num_tokens": tokens, "channels": tokenizer.channels, "classes": CLASSES}
    paths = [preset_path(name) for name in settings.generator]
    return tokenizer, load_config(TrainGeneratorConfig, paths, {"generator": known})


def samplings(settings: Settings, own: SamplingConfig) -> dict[str, SamplingConfig]:
    """(a), the preset's sampler with as many steps as the peer, and (b), the short walk."""
    guided = replace(own, guidance=GuidanceConfig(scale=settings.guidance))
    return {
        "(a)": replace(guided, steps=settings.steps),
        "(b)": replace(guided, sampler=settings.sampler, steps=settings.sampler_steps),
    }


def cases(settings: Settings, place: Place) -> Iterator[Case]:
    """The peer, then each K in all ways; a side is gone when the next is asked for."""
    tokenizer, training = read_presets(settings, min(settings.tokens))
    shape, size = training.generator.network, tokenizer.image_size
    ddim = SamplingConfig(
        sampler="ddim", steps=settings.steps, guidance=GuidanceConfig(scale=settings.guidance)
    )
    peer = PlainDiT(shape, classes=CLASSES, image_size=size, place=place)
    yield Case(name="DiT-XL/2 and SD-VAE", side=peer, sampling=ddim, tokens=0)
    del peer
    for tokens in settings.tokens:
        gc.collect()
        tokenizer, training = read_presets(settings, tokens)
        side = TexTok(tokenizer, training.generator, place)
        for letter, sampling in samplings(settings, training.sampling).items():
            training.generator.check_sampling(sampling)
            yield Case(name=f"TexTok {letter}", side=side, sampling=sampling, tokens=tokens)
        del side
        gc.collect()
        yield from one_step_cases(settings, place, tokens)


def one_step_cases(settings: Settings, place: Place, tokens: int) -> Iterator[Case]:
    """(c): a MeanFlow generator of the same shape, with the tokenizer's decoder and with others."""
    tokenizer, training = read_presets(settings, tokens)
    generator = replace(training.generator, objective=ObjectiveConfig(name="meanflow"))
    guidance = GuidanceConfig(scale=settings.guidance)
    sampling = SamplingConfig(sampler="meanflow", steps=1, guidance=guidance)
    generator.check_sampling(sampling)
    side = TexTok(tokenizer, generator, place)
    yield Case(name="TexTok (c)", side=side, sampling=sampling, tokens=tokens)
    for name in settings.decoders:
        size, _, patch = name.partition("/")
        other = replace(tokenizer, decoder=VIT_SIZES[size], patch_size=int(patch))
        yield Case(
            name=f"TexTok (c), decoder {name}",
            side=side.with_tokenizer(other),
            sampling=sampling,
            tokens=tokens,
        )


def measure(settings: Settings, device: str) -> list[Row]:
    """A row for each precision, side and batch."""
    default = {"cpu": ("fp32", "bf16")}.get(device, ("bf16",))
    timed = (4 if device == "cpu" else 0) if settings.steps_timed == -1 else settings.steps_timed
    compiled = settings.compile == "yes" or (settings.compile == "auto" and device == "cuda")
    clock = Clock(device=device, cpu=settings.clock == "cpu")
    paths = [preset_path(name) for name in settings.tokenizer]
    text = load_config(TrainTokenizerConfig, paths).text
    rows: list[Row] = []
    for precision in settings.precision or default:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        place = Place(device=device, dtype=dtype, compiled=compiled)
        encoding = {
            pictures: time_text_encoder(text, pictures, place, clock) for pictures in settings.batch
        }
        peers: dict[int, Row] = {}
        for case in cases(settings, place):
            step, decoding = count_flops(case)
            for pictures in settings.batch:
                row = Row(
                    name=case.name,
                    tokens=case.tokens,
                    precision=precision,
                    sampler=case.sampling.sampler,
                    steps=case.sampling.steps,
                    step_flops=step,
                    decoding_flops=decoding,
                    timing=time_case(case, pictures, timed, clock),
                    text=encoding[pictures] if case.tokens else None,
                    peer=peers.get(pictures),
                )
                peers.setdefault(pictures, row)
                rows.append(row)
                print(row.line(), flush=True)
    return rows


@as_command("sampling")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.sampling")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = best_device().type if settings.device == "auto" else settings.device
    rows = measure(settings, device)
    write_report(rows, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
