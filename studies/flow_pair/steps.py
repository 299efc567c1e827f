"""What such a pair is trained on, and its commands in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studies.drawing import extract_step, judge_step, train_step
from studies.pairs.nested import GUIDANCE, GUIDED, Measurement, measuring_steps
from studies.pairs.study import PAIR, SPLIT
from studies.steps import TWO_JUDGES, Step, words

BATCH = 64
DECODED = {SPLIT: 1, GUIDED: GUIDANCE}
"""How generated images are decoded: scale of the guidance on the caption, by folder."""
EACH = 5
"""Images of each prompt."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A generator on the first tokens of one of the pair."""

    preset: str
    text: str = "both"
    """Of the tokenizer."""
    flags: tuple[str, ...] = ()
    """What differs from the preset."""
    prompts: tuple[str, ...] = ()
    """Of a sheet; none where it does not draw by text."""

    @property
    def ways(self) -> Mapping[str, int]:
        """``DECODED``; a decoder that reads no caption is not guided by one."""
        return DECODED if self.text == "both" else {SPLIT: DECODED[SPLIT]}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One data set with its tokenizers and generators, and what its results are called."""

    name: str
    """Of the folders of its runs and results."""
    how: str
    """Command that makes its data."""
    where: str = ""
    """Which of the data's images it takes; all without it."""
    preset: str
    flags: tuple[str, ...] = ()
    """What differs from the preset."""
    counts: tuple[int, ...]
    """Numbers of tokens that are decoded from."""
    generators: Mapping[str, Drawing] = field(default_factory=dict)
    """By the folder of the run."""
    compared: int
    """Training images that generated ones are compared with."""
    training: float
    measuring: float
    """Images a second on one core, for the plan."""
    title: str
    about: str
    drawn: str
    """What its generators draw, above their table."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pair is read and trained, and how much of it."""

    data: Path
    runs: Path
    steps: int
    limit: int
    """Test images."""


def export_step(pair: Pair, data: Path, out: Path) -> Step:
    """The images that ``pair`` takes, as a set of their own in ``out``."""
    some = words("--to", "webdataset", "--where", pair.where)
    return Step(command=words("data", "export", data, out, *some), done=out / SPLIT / "00000.tar")


def every_step(pair: Pair, place: Place) -> list[Step]:
    """Train and measure the tokenizer with captions, then the one without, then draw."""
    runs = {text: place.runs / text for text in PAIR}
    measurement = Measurement(
        data=place.data,
        counts=pair.counts,
        limit=place.limit,
        speed=pair.measuring,
        flags=(*words("--workers", 0), *TWO_JUDGES, *_cache(place)),
    )
    measuring = measuring_steps(runs, measurement)
    steps: list[Step] = []
    for text in reversed(PAIR):
        kind = words("--tokenizer.text", text, "--run.steps", place.steps)
        where = words("--run.out", runs[text], "--data.path", place.data)
        cache = words("--text.cache", place.runs / "text-cache")
        train = Step(
            command=("train", "tokenizer", pair.preset, *pair.flags, *kind, *where, *cache),
            done=runs[text] / "report.md",
            seconds=place.steps * BATCH / pair.training,
        )
        steps += [train, *measuring[text]]
    for name, drawing in pair.generators.items():
        steps += _generator_steps(name, drawing, place)
    return list({step.done: step for step in steps}.values())  # generators share latents


def _cache(place: Place) -> tuple[str, ...]:
    return words("--text-cache", place.runs / "text-cache")


def _generator_steps(name: str, drawing: Drawing, place: Place) -> list[Step]:
    """Latents of its tokenizer, a DiT on them, and images by it for the test split."""
    runs, run = place.runs, place.runs / name
    latents = runs / "latents" / drawing.text
    steps = [
        extract_step(runs / drawing.text / "model", place.data, latents, caches=runs),
        train_step(drawing.preset, latents, run, caches=runs, flags=drawing.flags),
    ]
    for folder, scale in drawing.ways.items():
        decoded = words("--caption-guidance", scale) if drawing.text == "both" else ()
        where = run / folder
        steps.append(
            judge_step(
                *(run / "model", runs / "judged", where),
                split=SPLIT,
                caches=runs,
                judges=TWO_JUDGES,
                flags=(*words("--num-images", place.limit, "--workers", 0), *decoded),
            )
        )
        if drawing.prompts:
            draw = words("generate", *drawing.prompts, "--model", run / "model")
            sheet = words("--num-images", EACH, *decoded, "--out", where / "prompts")
            steps.append(Step(command=(*draw, *sheet), done=where / "prompts" / "sheet.png"))
    return steps
