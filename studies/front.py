"""The first picture of the README: held-out pictures of the sample, kept and drawn.

python -m studies.front
"""

from __future__ import annotations

import json
from pathlib import Path

import tyro
from PIL import Image

from textok.config.bundled import BUNDLED
from textok.demo.samples import SAMPLE
from textok.pipeline import Reconstructor, TextToImage
from textok.runtime.sheet import picture_sheet

NAMES = ("fluent-flat-1f699", "fluent-3d-1f9c1", "twemoji-1f9d1-200d-1f9b0", "noto-1f94e")
SEEDS = 3


def main(*, out: Path = Path("docs/assets/front.png"), model: str = BUNDLED) -> None:
    """Draw it.

    Args:
        out: The PNG.
        model: A pipeline that reads text.
    """
    lines = (SAMPLE / "test" / "metadata.jsonl").read_text("utf-8").splitlines()
    captions = {row["key"]: row["captions"][0] for row in map(json.loads, lines)}
    asked = [captions[name] for name in NAMES]
    pictures = [Image.open(SAMPLE / "test" / f"{name}.webp") for name in NAMES]
    tokenizer = Reconstructor.from_pretrained(model)
    pipe = TextToImage.from_pretrained(model)
    drawn = pipe(asked, num_images=SEEDS, seed=0)
    sheet = picture_sheet(
        {
            "a picture": pictures,
            "its 16 tokens and the caption": tokenizer.decode(
                tokenizer.encode(pictures, asked), asked
            ),
            **{f"the caption, seed {seed}": drawn[seed::SEEDS] for seed in range(SEEDS)},
        },
        asked,
        cell=128,
    )
    sheet.quantize(256).save(out, optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
