"""``python -m tests.demo.screenshots``: the pictures of docs/demo.md, of the bundled model."""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.demo.chromium import DESK, PHONE, Visit, visit
from tests.demo.conftest import served
from textok.config.bundled import BUNDLED
from textok.demo.studio import open_studio

OUT = Path(__file__).parents[2] / "docs" / "demo"
NARROW = (1000, 900)
LARGEST = 250_000


def reconstruct(seen: Visit) -> None:
    seen.page.get_by_role("button", name="Thumbnail 2 of 12").first.click()
    settle(seen.page)


def generate(seen: Visit) -> None:
    seen.page.get_by_role("tab", name="Generate").click()
    seen.page.get_by_role("button", name="Draw", exact=True).click()
    seen.page.locator("#drawn .thumbnail-item").nth(3).wait_for()
    settle(seen.page)


def explore(seen: Visit) -> None:
    seen.page.get_by_role("tab", name="Explore").click()
    settle(seen.page)


def grid(seen: Visit) -> None:
    explore(seen)
    seen.page.get_by_role("tab", name="Steps and guidance").click()
    seen.page.get_by_role("button", name="Draw the grid").click()
    seen.page.locator("#grid img").nth(15).wait_for()
    settle(seen.page)


def settle(page: Any) -> None:
    """Wait for answers and for what moves to stand still."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(2500)
    for status in ("processing |", "queue:"):
        page.get_by_text(status).first.wait_for(state="hidden", timeout=60_000)
    page.wait_for_timeout(500)


SHOTS = {
    "reconstruct": (reconstruct, DESK, False),
    "explore": (explore, NARROW, True),
    "grid": (grid, DESK, False),
    "generate-phone": (generate, PHONE, False),
    "reconstruct-phone": (reconstruct, PHONE, True),
}
"""What is done, on a screen of which size, and whether in the dark."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with served(open_studio(given.model)) as address:
        for name, (act, size, dark) in SHOTS.items():
            with visit(address, size=size, dark=dark) as seen:
                act(seen)
                shot = seen.page.screenshot(full_page=True)
            path = given.out / f"{name}.png"
            compress(shot, path)
            print(path, path.stat().st_size)


def compress(shot: bytes, path: Path) -> None:
    """Write a screenshot, in 256 colours where it would be too large with all of them."""
    picture = Image.open(BytesIO(shot)).convert("RGB")
    picture.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        picture.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
