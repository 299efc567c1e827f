"""The rows of `benchmarks.gpu`: each is one call that adds its parts to a bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.drawing import measure_pictures
from benchmarks.parts import Bench, measure_drawing
from benchmarks.parts import Settings as PartsSettings
from benchmarks.parts_report import OUR_STEPS, PEER_STEPS
from benchmarks.read_ahead import measure as measure_read_ahead
from benchmarks.sampling import Settings as SamplingSettings
from benchmarks.sampling import read_presets
from benchmarks.sampling_sides import Place, TexTok
from benchmarks.speed_report import Variant
from benchmarks.tokenizer_speed import Case, prepare
from benchmarks.training import Settings as TrainingSettings
from benchmarks.training import as_run, read_config
from benchmarks.training_steps import Task, TrainingStep, training_step
from textok.config import TrainTokenizerConfig
from textok.config.generator import GuidanceConfig, ObjectiveConfig
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.data.pixels import to_tensor
from textok.generator.mean_flow import MeanFlowCondition
from textok.nn.adaptive_block import DiTBlock
from textok.runtime.blocks import compile_network
from textok.runtime.device import best_device
from textok.types import Condition, upload

BF16 = Variant(model="textok", compiled=False, precision="bf16")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is measured; each model is a list of presets or .yaml files, merged left to right."""

    tokenizer: tuple[str, ...] = ("textok-256",)
    """Trained."""
    tokenizer_batch: tuple[int, ...] = (32, 64)
    generator: tuple[str, ...] = ("dit-class", "dit-xl")
    """Trained, and of the shape that draws."""
    generator_tokens: int = 256
    """K in training."""
    generator_batch: int = 128
    decoder: tuple[str, ...] = ("textok-512",)
    """Of the pictures that are drawn."""
    drawing_tokens: int = 32
    """K in drawing."""
    codecs: tuple[tuple[str, ...], ...] = (("titok-kl", "titok-l", "k32"), ("textok-512",))
    """Whose encoding and decoding are timed."""
    codec_batch: tuple[int, ...] = (1, 32)
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    """Of the peer's SD-VAE."""
    long_steps: int = PEER_STEPS
    """Of the walk that is as long as the peer's."""


TOY_TOKENIZER = (str(Path(__file__).parent / "toy" / "tokenizer.yaml"),)
TOY_GENERATOR = (str(Path(__file__).parent / "toy" / "generator.yaml"),)
TOY = Sizes(
    tokenizer=TOY_TOKENIZER,
    tokenizer_batch=(2, 4),
    generator=TOY_GENERATOR,
    generator_tokens=4,
    generator_batch=2,
    decoder=TOY_TOKENIZER,
    drawing_tokens=4,
    codecs=(TOY_TOKENIZER,),
    codec_batch=(1, 2),
    vae_channels=(32, 32, 32, 32),
    long_steps=2,
)
"""At which a row takes about a second on a CPU."""


class CountingBench(Bench):
    """Also keeps the FLOPs an image of those parts where they were counted."""

    def __init__(self, repeats: int) -> None:
        super().__init__(repeats)
        self.flops: dict[str, float] = {}

    def count(self, part: str, images: int, call: Callable[[], object]) -> None:
        """Add the model's FLOPs an image, as torch counts them in one call of eager code."""
        backends = list(SDPBackend.__members__.values()) if self.cuda else [SDPBackend.MATH]
        backends = [one for one in backends if one is not SDPBackend.ERROR]
        with (
            torch.compiler.set_stance("force_eager"),
            sdpa_kernel(backends),
            FlopCounterMode(display=False) as counter,
        ):
            call()
        self.flops[part] = counter.get_total_flops() / images


@dataclass(frozen=True, kw_only=True)
class Row:
    """A part of the report that is measured as one."""

    name: str
    seconds: float
    """It is expected to take on an H200; it is not begun with less left."""
    measure: Callable[[CountingBench], None]


def rows(sizes: Sizes) -> list[Row]:
    """All rows, the most valuable first."""
    first, *others = sizes.tokenizer_batch
    made = [
        Row(name=f"tokenizer step, {first}", seconds=25, measure=_tokenizer(sizes, first, False)),
        Row(name=f"tokenizer step, {first}, compiled", seconds=70,
            measure=_tokenizer(sizes, first, True)),
        Row(name="generator step, compiled", seconds=50, measure=_generator(sizes, True)),
        Row(name="the original picture", seconds=45, measure=partial(_original, sizes)),
        Row(name="picture", seconds=45,
            measure=partial(_pictures, sizes, ("eager", "recorded", "fused", "compiled"))),
        Row(name="picture in one step", seconds=40, measure=partial(_one_step, sizes)),
        Row(name="generator step", seconds=25, measure=_generator(sizes, False)),
    ]  # fmt: skip
    made += [
        Row(name=f"encoding and decoding, {'+'.join(map(_name, codec))}", seconds=20,
            measure=partial(_codec, sizes, codec))
        for codec in sizes.codecs
    ]  # fmt: skip
    made += [
        Row(name="upload", seconds=10, measure=partial(_upload, sizes)),
        Row(name="reading ahead", seconds=30, measure=partial(_read_ahead, sizes)),
    ]
    made += [
        Row(name=f"tokenizer step, {batch}", seconds=25, measure=_tokenizer(sizes, batch, False))
        for batch in others
    ]
    autotuned = partial(_pictures, sizes, ("autotuned",))
    return [*made, Row(name="picture, autotuned", seconds=80, measure=autotuned)]


def _name(preset: str) -> str:
    return Path(preset).stem


def _tokenizer(sizes: Sizes, batch: int, compiled: bool) -> Callable[[CountingBench], None]:
    asked = TrainingSettings(tokenizer=sizes.tokenizer)
    return partial(_step, asked, "tokenizer", batch, compiled)


def _generator(sizes: Sizes, compiled: bool) -> Callable[[CountingBench], None]:
    asked = TrainingSettings(
        tokenizer=sizes.tokenizer, generator=sizes.generator, tokens=sizes.generator_tokens
    )
    return partial(_step, asked, "generator", sizes.generator_batch, compiled)


def _step(
    asked: TrainingSettings, task: Task, batch: int, compiled: bool, bench: CountingBench
) -> None:
    """A whole training step, for the share of the peak."""
    variant = replace(BF16, compiled=compiled)
    step: TrainingStep = training_step(as_run(read_config(asked, task), variant, batch=batch))
    part = f"{task}, training step"
    bench.time(part, "compiled" if compiled else "eager", batch, step)
    bench.count(part, batch, step)


def _original(sizes: Sizes, bench: CountingBench) -> None:
    """A step with guidance of the original pipeline and its decoding, for one picture."""
    asked = PartsSettings(
        tokens=sizes.drawing_tokens,
        batch=(1,),
        decoder=sizes.decoder,
        generator=sizes.generator,
        repeats=bench.repeats,
    )
    measure_drawing(asked, bench, vae_channels=sizes.vae_channels, own=False)


def _pictures(sizes: Sizes, ways: tuple[str, ...], bench: CountingBench) -> None:
    """One picture of few tokens by a walk with guidance, whole."""
    measure_pictures(_drawn(sizes), ways, bench, long_steps=sizes.long_steps)


def _drawn(sizes: Sizes) -> SamplingSettings:
    return SamplingSettings(
        tokens=(sizes.drawing_tokens,), tokenizer=sizes.decoder, generator=sizes.generator
    )


def _one_step(sizes: Sizes, bench: CountingBench) -> None:
    """One picture by MeanFlow, tokens and decoding in one call, of 1 step and of OUR_STEPS.

    What is prepared from the condition alone is timed apart: it runs eagerly in every way.
    """
    tokenizer, training = read_presets(_drawn(sizes), sizes.drawing_tokens)
    generator = replace(training.generator, objective=ObjectiveConfig(name="meanflow"))
    place = Place(device=bench.device.type, dtype=torch.bfloat16, compiled=False)
    side = TexTok(tokenizer, generator, place)
    noise_BKC = torch.randn(1, generator.num_tokens, generator.channels)
    noise_BKC = noise_BKC.to(bench.device, place.dtype)
    for compiled in (False, True):
        if compiled:
            for block in cast("list[DiTBlock]", side.generator.blocks):
                compiled_pass = torch.compile(block.apply_prepared, dynamic=False)
                block.apply_prepared = compiled_pass  # type: ignore[method-assign]
            compile_network(side.tokenizer)
        for steps in (1, OUR_STEPS):
            _time_pictures(side, noise_BKC, steps, compiled, bench)


@torch.inference_mode()
def _time_pictures(
    side: TexTok, noise_BKC: Tensor, steps: int, compiled: bool, bench: CountingBench
) -> None:
    times = torch.linspace(1, 0, steps + 1, device=bench.device)
    told = MeanFlowCondition.at_steps(times, GuidanceConfig(scale=1.5))
    condition = Condition(labels=torch.zeros(1, dtype=torch.long)).to(bench.device)
    channels = side.generator.config.channels

    def ready() -> object:
        return side.generator.prepare(condition, times[:-1], mean_flow=told)

    prepared = side.generator.prepare(condition, times[:-1], mean_flow=told)

    def picture() -> Tensor:
        x_BKC = noise_BKC
        for index in range(steps):
            velocity = side.generator.step(x_BKC, index, prepared)[..., :channels]
            x_BKC = x_BKC - velocity / steps
        return side.decode(x_BKC)

    if not compiled:
        bench.time(f"MeanFlow, prepare {steps}", "eager", 1, ready)
    bench.drawing(f"MeanFlow, picture in {steps}", 1, picture, compiled=compiled)


def _codec(sizes: Sizes, codec: tuple[str, ...], bench: CountingBench) -> None:
    """Encoding and decoding in bf16, beside torch's own transformer layers."""
    config = load_config(TrainTokenizerConfig, [preset_path(name) for name in codec]).tokenizer
    name = "+".join(map(_name, codec))
    for batch in sizes.codec_batch:
        for task in ("encode", "decode"):
            case = Case(tokenizer=config, task=task, batch=batch, device=bench.device.type)
            call, part = prepare(case, BF16), f"{name}, {task}"
            with torch.inference_mode():
                bench.drawing(part, batch, call, compiled=False)
            plain = prepare(case, replace(BF16, model="plain"))
            bench.time(f"{part}, torch's layers", "eager", batch, plain)


def _upload(sizes: Sizes, bench: CountingBench) -> None:
    """A batch of pixels from the CPU's memory to float32 numbers on the device."""
    rows, size = sizes.tokenizer_batch[0], _tokenizer_config(sizes, 1).tokenizer.image_size
    pixels_BHW3 = torch.randint(0, 256, (rows, size, size, 3), dtype=torch.uint8)
    images_B3HW, device = to_tensor(pixels_BHW3), best_device()
    ways: dict[str, Callable[[], object]] = {
        "float32": lambda: images_B3HW.to(device),
        "made float32, then": lambda: to_tensor(pixels_BHW3).to(device),
        "uint8": lambda: to_tensor(pixels_BHW3.to(device)),
        "uint8, pinned": lambda: to_tensor(upload(pixels_BHW3, device)),
    }
    for way, call in ways.items():
        bench.time(f"upload, {way}", "eager", rows, call)


def _read_ahead(sizes: Sizes, bench: CountingBench) -> None:
    """A training step with its batch, made before it or during the step before."""
    config = _tokenizer_config(sizes, sizes.tokenizer_batch[0])
    found = measure_read_ahead(config, steps=2, repeats=2)
    for loader, pairs in found.items():
        for index, when in enumerate(("before it", "ahead")):
            seconds = median(pair[index] for pair in pairs)
            part = f"step and batch, {loader} loader, {when}"
            bench.add(part, "eager", config.run.batch_size, 1000 * seconds)


def _tokenizer_config(sizes: Sizes, batch: int) -> TrainTokenizerConfig:
    config = read_config(TrainingSettings(tokenizer=sizes.tokenizer), "tokenizer")
    config = as_run(config, BF16, batch=batch)
    assert isinstance(config, TrainTokenizerConfig)
    return config
