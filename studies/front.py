"""The pictures of the README: products from their names, and what a caption adds to few tokens.

    python -m studies.front --data data/products-64

The first needs the bundled model alone, the second also held-out products.
"""

from __future__ import annotations

from pathlib import Path

import tyro
from PIL import Image

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
BUDGETS = (1, 2, 8)
SHOWN = ("t-shirt", "shoe", "watch", "handbag", "jeans", "sunglasses")
"""Words of held-out names; the first product of each is shown."""


def from_text(model: str) -> Image.Image:
    """Several images for each prompt."""
    drawn = TextToImage.from_pretrained(model)(list(PROMPTS), num_images=SEEDS, seed=0)
    columns = {f"seed {seed}": drawn[seed::SEEDS] for seed in range(SEEDS)}
    return picture_sheet(columns, list(PROMPTS), cell=96)


def by_tokens(model: str, data: Path) -> Image.Image:
    """Held-out products through a few tokens, without their name and with it."""
    config = DataConfig(path=str(data), split="test", workers=0)
    images = open_captioned_images(config, image_size=64)
    names = [record.captions[0] for record in images.records]
    rows = [next(i for i, name in enumerate(names) if word in name.lower()) for word in SHOWN]
    pictures = [Image.fromarray(images.read(row)) for row in rows]
    captions = [names[row] for row in rows]
    tokenizer = Reconstructor.from_pretrained(model)
    columns = {"original": pictures}
    for k in BUDGETS:
        tokens = f"{k} token{'s' if k > 1 else ''}"
        columns[f"{tokens}, no caption"] = tokenizer.reconstruct(pictures, num_tokens=k)
        columns[f"{tokens}, its caption"] = tokenizer.reconstruct(pictures, captions, num_tokens=k)
    return picture_sheet(columns, captions, cell=96)


def main(
    *,
    model: str = BUNDLED,
    out: Path = Path("docs/assets/front.png"),
    data: Path | None = None,
    tokens_out: Path = Path("docs/results/bundled-tokenizer/tokens.png"),
) -> None:
    """Make both pictures.

    Args:
        model: A pipeline that reads text.
        out: Images from text.
        data: Products as `textok data prepare` makes them, for the second picture.
        tokens_out: Held-out products through a few tokens.
    """
    from_text(model).quantize(256).save(out, optimize=True)
    if data is not None:
        tokens_out.parent.mkdir(parents=True, exist_ok=True)
        by_tokens(model, data).quantize(256).save(tokens_out, optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
