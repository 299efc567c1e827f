"""What each part of drawing and of a training step takes on a GPU: a look of two minutes.

    python -m benchmarks.parts --out docs/results/parts    # needs textok[bench]

`benchmarks.sampling` and `benchmarks.training` time the whole; this says where the time goes. The
steps, the sizes and the peer (diffusers' DiT and SD-VAE) are theirs. A way is `eager`, `recorded`
(the launches of eager kernels, replayed as one CUDA graph) or `compiled` (block by block, then
recorded where nothing is learnt). A CPU records nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from benchmarks.parts_report import Part, write_report
from benchmarks.sampling import CLASSES, read_presets
from benchmarks.sampling import Settings as SamplingSettings
from benchmarks.sampling_sides import Place, PlainDiT, TexTok
from benchmarks.speed_report import Variant
from benchmarks.training import Settings as TrainingSettings
from benchmarks.training import as_run, read_config
from benchmarks.training_steps import training_step
from studies.command import as_command, read_arguments
from textok.config.check import require_range
from textok.losses.adversarial import frozen_logits
from textok.runtime.blocks import repeated_parts
from textok.runtime.device import autocast, best_device
from textok.types import Condition

Section = Literal["drawing", "generator", "tokenizer"]
STEPS = 16
"""Times that a generator prepares for."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Milliseconds of each part: JSON and Markdown."""

    sections: tuple[Section, ...] = get_args(Section)
    tokens: int = 32
    """K of drawing; training has 256 in the generator and the preset's in the tokenizer."""
    batch: tuple[int, ...] = (1, 32)
    """Pictures at once in drawing."""
    generator_batch: int = 128
    """Images a training step of the generator."""
    tokenizer_batch: int = 32
    """Images a training step of the tokenizer."""
    tokenizer: tuple[str, ...] = ("textok-256",)
    """Names or .yaml files of the tokenizer that is trained, merged left to right."""
    decoder: tuple[str, ...] = ("textok-512",)
    """Of the one whose decoder draws."""
    generator: tuple[str, ...] = ("dit-class", "dit-xl")
    """Of the generator, and of the peer's shape."""
    repeats: int = 5
    """Calls timed together, after two that warm up."""
    out: Path = Path("docs/results/parts")
    """Folder for parts.json and parts.md."""

    def __post_init__(self) -> None:
        for name in ("tokens", "generator_batch", "tokenizer_batch", "repeats"):
            require_range(name, getattr(self, name), 1)
        require_range("batch", min(self.batch, default=0), 1)


class Bench:
    """Times calls on one device and keeps what it found."""

    def __init__(self, repeats: int) -> None:
        self.device, self.repeats = best_device(), repeats
        self.parts: list[Part] = []

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def time(self, part: str, way: str, images: int, call: Callable[[], object]) -> None:
        """Mean of the calls together; the way ``recorded`` or ``compiled`` replays a graph."""
        ready = time.perf_counter()
        call()
        self._wait()
        first = time.perf_counter() - ready
        call()
        self._wait()
        start = time.perf_counter()
        for _ in range(self.repeats):
            call()
        self._wait()
        ms = 1000 * (time.perf_counter() - start) / self.repeats
        self.add(part, way, images, ms, first_s=first)

    def add(self, part: str, way: str, images: int, ms: float, *, first_s: float = 0) -> None:
        """Keep and print what was timed."""
        self.parts.append(Part(part=part, way=way, images=images, ms=ms, first_s=first_s))
        print(self.parts[-1].line(), flush=True)

    def recorded(self, call: Callable[[], object]) -> Callable[[], object]:
        """``call``, its launches replayed as one; itself on a device that records nothing."""
        if not self.cuda:
            return call
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay

    def drawing(
        self, part: str, images: int, call: Callable[[], object], *, compiled: bool
    ) -> None:
        """A call without gradients: compiled and recorded, or eager and then recorded."""
        if not compiled:
            self.time(part, "eager", images, call)
        if self.cuda or compiled:
            way = "compiled" if compiled else "recorded"
            call()
            self.time(part, way, images, self.recorded(call))

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def measure_drawing(
    settings: Settings, bench: Bench, *, vae_channels: tuple[int, ...] = (), own: bool = True
) -> None:
    """A step with guidance and the decoding of both sides, or of the peer alone, in bf16."""
    asked = SamplingSettings(
        tokens=(settings.tokens,), tokenizer=settings.decoder, generator=settings.generator
    )
    tokenizer, training = read_presets(asked, settings.tokens)
    place = Place(device=bench.device.type, dtype=torch.bfloat16, compiled=False)
    shape, size = training.generator.network, tokenizer.image_size
    peer = PlainDiT(shape, classes=CLASSES, image_size=size, place=place, vae_channels=vae_channels)
    with torch.inference_mode():
        for compiled, images in _ways(settings.batch, peer.transformer):
            x = torch.randn(2 * images, 4, peer.latent_size, peer.latent_size)
            x = x.to(bench.device, place.dtype)
            times = torch.full((2 * images,), 500, device=bench.device)
            peer_step = _bound(
                peer.transformer, x, timestep=times, class_labels=torch.zeros_like(times)
            )
            bench.drawing("DiT-XL/2 step", images, peer_step, compiled=compiled)
            if not compiled:
                bench.drawing(
                    "SD-VAE decoding", images, _bound(peer.vae.decode, x[:images]), compiled=False
                )
    del peer
    if not own:
        return
    side = TexTok(tokenizer, training.generator, place)
    with torch.inference_mode():
        for compiled, images in _ways(settings.batch, side.generator):
            labels = torch.arange(images) % CLASSES
            condition = Condition(labels=torch.cat([labels, -torch.ones_like(labels)]))
            times = torch.linspace(1, 0, STEPS + 1, device=bench.device)[:-1]
            prepare = _bound(side.generator.prepare, condition.to(bench.device), times)
            x_BKC = torch.randn(2 * images, settings.tokens, side.generator.config.channels)
            step = _bound(side.generator.step, x_BKC.to(bench.device), 3, prepare())
            bench.drawing("TexTok step", images, step, compiled=compiled)
            if not compiled:
                latents = x_BKC[:images].to(bench.device)
                bench.time(f"TexTok, prepare {STEPS} steps", "eager", images, prepare)
                bench.drawing(
                    "TexTok decoding", images, _bound(side.decode, latents), compiled=False
                )


def _ways(batches: tuple[int, ...], network: nn.Module) -> Iterator[tuple[bool, int]]:
    """Each batch eagerly, then each with the blocks of ``network`` compiled."""
    for images in batches:
        yield False, images
    for block in repeated_parts(network):
        # DiT calls apply_prepared in drawing, and diffusers' blocks are called.
        name = "apply_prepared" if hasattr(block, "apply_prepared") else "forward"
        setattr(block, name, torch.compile(getattr(block, name), dynamic=False))
    for images in batches:
        yield True, images


def _bound(call: Callable[..., Any], *given: object, **named: object) -> Callable[[], Any]:
    return lambda: call(*given, **named)


def measure_generator(settings: Settings, bench: Bench) -> None:
    """A training step, and what of it is not the network."""
    asked = TrainingSettings(tokenizer=settings.tokenizer, generator=settings.generator)
    images = settings.generator_batch
    variant = Variant(model="textok", compiled=False, precision="bf16")
    for way in ("eager", "compiled"):
        config = as_run(read_config(asked, "generator"), variant, batch=images)
        config = replace(config, run=replace(config.run, compile=way == "compiled"))
        step = training_step(config)
        bench.time("generator, training step", way, images, step)
        if way == "eager":
            task = step.task
            parameters = list(task.network.parameters())

            def rest(task: Any = task, parameters: list[nn.Parameter] = parameters) -> None:
                for parameter in parameters:
                    parameter.grad = torch.zeros_like(parameter)
                task.step.optimizer.clip()
                task.step.optimizer.step(0)
                task.ema.update(task.network)
                task.step.optimizer.zero_grad()

            bench.time("generator, optimiser and average", way, images, rest)


def measure_tokenizer(settings: Settings, bench: Bench) -> None:
    """A training step with all of its judges, and each of them alone."""
    asked = TrainingSettings(tokenizer=settings.tokenizer)
    images = settings.tokenizer_batch
    variant = Variant(model="textok", compiled=False, precision="bf16")
    config = as_run(read_config(asked, "tokenizer"), variant, batch=images)
    step = training_step(config)
    task = step.task
    bench.time("tokenizer, training step", "eager", images, step)
    size = task.network.config.image_size
    real = torch.rand(images, 3, size, size, device=bench.device) * 2 - 1
    objective = task.step.objective
    text = None
    if objective.text is not None:
        text = objective.text([""] * images).to(bench.device)

    def network() -> None:
        with autocast(bench.device, "bf16"):
            out = task.network(real, text)
        out.images.mean().backward()
        task.network.zero_grad()

    bench.time("tokenizer, forward and backward", "eager", images, network)
    fake = real.clone().requires_grad_()
    perceptual = objective.loss.perceptual
    if perceptual is not None:

        def perceive() -> None:
            perceptual(fake, real).backward()

        bench.time("tokenizer, perceptual loss", "eager", images, perceive)
    if task.discriminator is not None:
        both = torch.cat([real, real])

        def judged(judge: Callable[[Tensor], Tensor], given: Tensor) -> Callable[[], None]:
            def call() -> None:
                with autocast(bench.device, "bf16"):
                    logits = judge(given)
                logits.float().mean().backward()

            return call

        judge = partial(frozen_logits, task.discriminator.module)
        bench.time("tokenizer, adversarial loss", "eager", images, judged(judge, fake))
        judge = task.discriminator.module
        bench.time("tokenizer, discriminator's step", "eager", images, judged(judge, both))


@as_command("parts")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.parts")
    bench = Bench(settings.repeats)
    sections: dict[Section, Callable[[Settings, Bench], None]] = {
        "drawing": measure_drawing,
        "generator": measure_generator,
        "tokenizer": measure_tokenizer,
    }
    for section in settings.sections:
        sections[section](settings, bench)
    write_report(bench.parts, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
