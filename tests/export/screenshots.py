"""``python -m tests.export.screenshots PAGE``: an exported page as docs/export.md shows it."""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.demo.chromium import PHONE, visit
from tests.export.serve import served
from textok.demo.samples import sample_pictures

OUT = Path(__file__).parents[2] / "docs" / "assets" / "web.webp"
DESK = (760, 1420)


def shot(address: str, *, size: tuple[int, int], dark: bool) -> Image.Image:
    """The page after a drawing and a reconstruction."""
    (picture, *_), (caption, *_) = sample_pictures(1)
    with visit(address, size=size, dark=dark, ready="#draw:not([hidden])") as seen:
        page = seen.page
        page.set_default_timeout(240_000)
        page.get_by_label("What to draw").first.fill("red women handbag")
        page.get_by_role("button", name="Draw four").click()
        page.locator("#drawn figure").nth(3).wait_for()
        page.locator("input[type=file]").set_input_files(picture)
        page.get_by_label("What it shows").fill(caption)
        page.get_by_label("Tokens:").fill("2")
        page.get_by_role("button", name="Reconstruct").click()
        page.locator("#reconstructed figure").nth(2).wait_for()
        page.get_by_text("Done in").wait_for()
        return Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--phone", action="store_true", help="on a phone, in the dark")
    given = parser.parse_args()
    with served(given.page) as address:
        picture = shot(address, size=PHONE if given.phone else DESK, dark=given.phone)
    picture.save(given.out, quality=75, method=6)
    print(given.out, picture.size, given.out.stat().st_size)


if __name__ == "__main__":
    main()
