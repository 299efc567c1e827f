"""What a product's name is worth to a decoder that samples, from no token to eight.

A nested pair, with names and without, otherwise equal: one pair of trainings tells it at every
number of tokens. Then a DiT by text on four tokens of the one with names, as the bundled one is.

    python -m studies.flow_products --data data/products-64 --runs runs/flow-products
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from studies.command import run_command
from studies.flow_pair.command import PairArguments, run_pair
from studies.flow_pair.steps import Drawing, Pair
from studies.products.__main__ import PROMPTS

PRODUCTS = Pair(
    name="flow-products",
    how="textok data prepare SOURCE OUT --size 64 --fit pad",
    preset="products-flow-64",
    counts=(0, 1, 2, 4, 8),
    generators={"generator": Drawing(preset="dit-products-64", prompts=PROMPTS)},
    compared=4_000,
    training=46,
    measuring=4.5,
    title="The name of a product, to a decoder that samples",
    about="""One nested tokenizer of product images (64 px, 0 to 8 tokens, C = 8, 4.4 M parameters)
whose decoder samples by flow matching, with the names in both sides, and one without, equal in all
else; both measured on held-out products. FD-EffLite0 is no FID (docs/evaluation.md). Gains are
those of two trainings; "caption left out" is the first tokenizer without the name, which it has
seen in a share of its training images.""",
    drawn="Images for held-out names by a DiT on four tokens:",
)


@dataclass(frozen=True, kw_only=True)
class Arguments(PairArguments):
    """Train and measure what is not done yet; the same command goes on."""

    data: Path = Path("data/products-64")
    runs: Path = Path("runs/flow-products")
    out: Path = Path("docs/results/flow-products")
    steps: int = 3_000


main = partial(run_pair, PRODUCTS)

if __name__ == "__main__":
    run_command(main, "studies.flow_products", settings=Arguments)
