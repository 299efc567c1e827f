"""What the bundled model makes: products from names, few tokens with a caption, and the unsold.

    python -m studies.front --data data/products-64

The first picture needs the model alone, the others also the products that it was trained for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from studies.command import run_command
from studies.pairs.job import training_captions
from studies.pairs.pictures import save_webp
from studies.products.unseen import unseen_combinations
from textok.config import DataConfig
from textok.config.bundled import BUNDLED
from textok.data import open_captioned_images
from textok.pipeline import Reconstructor, TextToImage
from textok.runtime.sheet import picture_sheet

PROMPTS = (
    "red women handbag",
    "men black casual shoes",
    "women golden watch",
    "blue jeans",
    "white tshirt",
    "green backpack",
)
SEEDS = 5
BUDGETS = (0, 1, 2, 8)
UNSEEN, LEAST = 8, 100
"""Combinations of a colour and a kind that no training name has, each of so many names."""
SHOWN = ("t-shirt", "shoe", "watch", "handbag", "jeans", "sunglasses")
"""Words of held-out names; the first product of each is shown."""


def from_text(model: str, prompts: Sequence[str]) -> Image.Image:
    """Several images for each prompt."""
    drawn = TextToImage.from_pretrained(model)(list(prompts), num_images=SEEDS, seed=0)
    columns = {f"seed {seed}": drawn[seed::SEEDS] for seed in range(SEEDS)}
    return picture_sheet(columns, list(prompts), cell=96)


def never_sold(data: Path) -> list[str]:
    """Prompts of a colour and a kind that are in training names, never in one together."""
    names = [several[0] for several in training_captions(data) if several]
    return [one.prompt for one in unseen_combinations(names, count=UNSEEN, least=LEAST)]


def by_tokens(model: str, data: Path) -> Image.Image:
    """Held-out products through a few tokens, without their name and with it."""
    config = DataConfig(path=str(data), split="test", workers=0)
    images = open_captioned_images(config, image_size=64)
    names = [record.captions[0] if record.captions else "" for record in images.records]
    rows = [next(i for i, name in enumerate(names) if word in name.lower()) for word in SHOWN]
    pictures = [Image.fromarray(images.read(row)) for row in rows]
    captions = [names[row] for row in rows]
    tokenizer = Reconstructor.from_pretrained(model)
    columns = {"original": pictures}
    for k in BUDGETS:
        tokens = f"{k} token{'' if k == 1 else 's'}"
        columns[f"{tokens}, no caption"] = tokenizer.reconstruct(pictures, num_tokens=k)
        columns[f"{tokens}, its caption"] = tokenizer.reconstruct(pictures, captions, num_tokens=k)
    return picture_sheet(columns, captions, cell=96)


def main(
    *,
    model: str = BUNDLED,
    out: Path = Path("docs/assets/front.webp"),
    data: Path | None = None,
    tokens_out: Path = Path("docs/results/bundled-tokenizer/tokens.webp"),
    unseen_out: Path = Path("docs/results/bundled-generator/never-sold.webp"),
) -> None:
    """Make the pictures.

    Args:
        model: A pipeline that reads text.
        out: Images from text.
        data: Products as `textok data prepare` makes them, for the other pictures.
        tokens_out: Held-out products through a few tokens.
        unseen_out: Images of combinations that no training name has.
    """
    save_webp(from_text(model, PROMPTS), out)
    if data is not None:
        save_webp(by_tokens(model, data), tokens_out)
        save_webp(from_text(model, never_sold(data)), unseen_out)


if __name__ == "__main__":
    run_command(main, "studies.front")
