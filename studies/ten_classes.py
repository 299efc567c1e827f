"""What a caption is worth on photographs of few classes, each often seen.

Tiny ImageNet has 200 classes of 495 training images; of its whole, a CPU sees each image once. Of
ten classes it sees each image twenty times in the same time, and learns what the names stand for.
A nested pair as that of `studies.flow_decoder`, equal in all but the data, and generators on it.

    python -m studies.ten_classes --data data/tiny-imagenet --runs runs/ten-classes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from studies.command import run_command
from studies.flow_pair.command import PairArguments, run_pair
from studies.flow_pair.steps import Drawing, Pair
from studies.steps import words

CLASSES = (
    *("goldfish", "monarch", "ladybug", "school bus", "banana"),
    *("king penguin", "lemon", "pizza", "koala", "sulphur butterfly"),
)
TOKENS, DRAWN = 16, 4
"""Of the tokenizers, and how many of them generators draw."""
FLAGS = words("--run.steps", 400, "--latents.num-tokens", DRAWN)
BY_CLASS = Drawing(preset="dit-photographs-64-class", flags=FLAGS)

TEN_CLASSES = Pair(
    name="ten-classes",
    how="textok data tiny-imagenet SOURCE OUT",
    where=f"class={'|'.join(CLASSES)}",
    preset="photographs-flow-64",
    flags=words("--tokenizer.nested", "true", "--tokenizer.num-tokens", TOKENS),
    counts=(0, 1, 2, 4, 8, 16),
    generators={
        "class-none": Drawing(preset=BY_CLASS.preset, flags=FLAGS, text="none"),
        "class-both": BY_CLASS,
        "text-both": Drawing(
            preset="dit-photographs-64",
            flags=FLAGS,
            prompts=tuple(f"a photo of a {name}, large, in the center" for name in CLASSES[:8]),
        ),
    },
    compared=2_000,
    training=27,
    measuring=5,
    title="What the caption is worth on photographs of ten classes",
    about="""One nested tokenizer of photographs (ten classes of Tiny ImageNet, 4,950 training
images, 64 px, 0 to 16 tokens, C = 8) whose decoder samples by flow matching, with the captions in
both sides, and one without, equal in all else; both measured on the classes' published validation
images. A caption names the class and says where its object is. FD-EffLite0 is no FID
(docs/evaluation.md). Gains are those of two trainings; "caption left out" is the first tokenizer
without the caption, which it has seen in a share of its training images.""",
    drawn="""Images by a DiT on four tokens, by class or by held-out captions; where a generator of
classes draws for a decoder that reads text, that reads a caption of the class:""",
)


@dataclass(frozen=True, kw_only=True)
class Arguments(PairArguments):
    """Train and measure what is not done yet; the same command goes on."""

    data: Path = Path("data/tiny-imagenet")
    """What `textok data tiny-imagenet` made."""
    runs: Path = Path("runs/ten-classes")
    out: Path = Path("docs/results/ten-classes")
    steps: int = 1_500


main = partial(run_pair, TEN_CLASSES)

if __name__ == "__main__":
    run_command(main, "studies.ten_classes", settings=Arguments)
