"""Every tab used as a visitor would, in a headless Chromium."""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.demo.chromium import CHROMIUM, PHONE, Visit, opened, visit
from tests.demo.conftest import served
from textok.demo.studio import Studio
from textok.pipeline import TextToImage
from textok.runtime.png import read_png_note

MISSING = [
    name
    for name, there in {
        "the package playwright": importlib.util.find_spec("playwright") is not None,
        str(CHROMIUM): CHROMIUM.is_file(),
    }.items()
    if not there
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
Studios = Callable[[str], Studio]


@pytest.fixture(scope="module")
def address(studios: Studios) -> Iterator[str]:
    with served(studios("text")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened() as found:
        yield found


def toast(seen: Visit) -> str:
    """The message that the page shows, taken away again."""
    shown = seen.page.locator(".toast-body").first
    shown.wait_for()
    words = shown.inner_text()
    seen.page.locator(".toast-close").first.click()
    shown.wait_for(state="detached")
    return " ".join(words.split())


def alone(seen: Visit, address: str) -> bool:
    """Whether the browser asked no other server for anything, and complained of nothing."""
    return seen.hosts == {urlsplit(address).netloc} and seen.complaints == []


def test_reconstruct(address: str, browser: Any, tmp_path: Path) -> None:
    with visit(address, browser=browser) as seen:
        page = seen.page
        cards = page.locator("#comparison .card")
        assert cards.count() == 4  # before anything is clicked
        assert cards.all_inner_texts()[1].startswith("Its caption")
        first = page.locator("#comparison").inner_html()
        page.get_by_role("button", name="Thumbnail 2 of 12").first.click()
        page.wait_for_function(
            "old => document.querySelector('#comparison').innerHTML != old", arg=first
        )
        caption = page.get_by_label("Its caption").first
        assert caption.input_value() != ""
        page.get_by_label("A caption of your own, to compare").fill("")
        page.get_by_role("button", name="Reconstruct", exact=True).click()
        page.wait_for_function("document.querySelectorAll('#comparison .card').length == 3")

        data = BytesIO()
        Image.new("RGB", (90, 60), "blue").save(data, "PNG")
        page.locator("input[type=file]").first.set_input_files(
            {"name": "blue.png", "mimeType": "image/png", "buffer": data.getvalue()}
        )
        page.get_by_text("Give the picture a caption to see what that changes.").wait_for()
        assert caption.input_value() == "" and cards.count() == 2
        caption.fill("a blue square")
        caption.press("Enter")
        page.wait_for_function("document.querySelectorAll('#comparison .card').length == 3")
        page.screenshot(path=tmp_path / "reconstruct.png", full_page=True)
        assert alone(seen, address)


def test_generate(address: str, browser: Any, tmp_path: Path) -> None:
    with visit(address, browser=browser) as seen:
        page = seen.page
        page.get_by_role("tab", name="Generate").click()
        page.get_by_label("Prompt").first.fill("a dog <b>in</b> the snow")
        page.get_by_label("Seed").first.fill("7")
        page.get_by_role("button", name="Draw", exact=True).click()
        pictures = page.locator("#drawn .thumbnail-item")
        pictures.nth(3).wait_for()
        assert re.findall(r"seed \d+", page.locator("#drawn").inner_text()) == [
            "seed 7", "seed 8", "seed 9", "seed 10",
        ]  # fmt: skip
        pictures.nth(1).click()
        with page.expect_download() as waiting:
            page.locator("#drawn").get_by_label("Download", exact=True).click()
        waiting.value.save_as(tmp_path / "file.png")
        note = read_png_note(tmp_path / "file.png")
        assert note["request"]["prompts"] == ["a dog <b>in</b> the snow"]
        assert (note["request"]["seed"], note["picture"]) == (7, 1)
        page.screenshot(path=tmp_path / "generate.png", full_page=True)
        page.get_by_role("button", name="Another seed").first.click()
        page.wait_for_function("document.querySelector('input[aria-label=Seed]').value != '7'")
        assert alone(seen, address)


def test_explore(address: str, browser: Any, tmp_path: Path) -> None:
    with visit(address, browser=browser) as seen:
        page = seen.page
        page.get_by_role("tab", name="Explore").click()
        assert page.locator("#swapped img").count() == 6
        assert page.locator("#between img").count() == 7
        page.get_by_label("A caption of your own for both").fill("a green frog")
        page.get_by_role("button", name="Swap").click()
        page.wait_for_function("document.querySelectorAll('#swapped img').length == 8")
        before = page.locator("#between").inner_html()
        page.get_by_label("none", exact=True).click()
        page.wait_for_function(
            "old => document.querySelector('#between').innerHTML != old", arg=before
        )
        page.screenshot(path=tmp_path / "explore.png", full_page=True)
        page.get_by_role("tab", name="Steps and guidance").click()
        page.get_by_label("Steps", exact=True).last.fill("1, 2")
        page.get_by_role("button", name="Draw the grid").click()
        page.wait_for_function("document.querySelectorAll('#grid img').length == 8")
        page.screenshot(path=tmp_path / "grid.png", full_page=True)
        assert alone(seen, address)


def test_mistakes_are_told(address: str, browser: Any) -> None:
    with visit(address, browser=browser) as seen:
        page = seen.page
        page.locator("input[type=file]").first.set_input_files(
            {"name": "no.png", "mimeType": "image/png", "buffer": b"hello"}
        )
        assert "This picture cannot be read (not one of PNG" in toast(seen)
        page.get_by_role("tab", name="Explore").click()
        page.get_by_role("tab", name="Steps and guidance").click()
        page.get_by_label("Steps", exact=True).last.fill("two")
        page.get_by_role("button", name="Draw the grid").click()
        assert "Steps: 'two' is no list of numbers like 2, 4, 8" in toast(seen)
        page.get_by_role("tab", name="Generate").click()
        page.get_by_label("Prompt").first.fill("")
        page.get_by_role("button", name="Draw", exact=True).click()
        assert "Nothing was asked for: this draws anything" in toast(seen)
        page.locator("#drawn .thumbnail-item").nth(3).wait_for()


def test_a_long_drawing_shows_how_far_it_is_and_can_be_stopped(
    address: str, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, ended = TextToImage.draw, []

    def slow(self: TextToImage, *given: object, **named: Any) -> object:
        told = 0
        try:
            for told in range(200):
                named["on_step"](told)
                time.sleep(0.05)
        finally:
            ended.append(told)
        return draw(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(TextToImage, "draw", slow)
    with visit(address, browser=browser) as seen:
        page = seen.page
        page.get_by_role("tab", name="Generate").click()
        for label in ("Stop", None):  # asked to stop, then left alone
            page.get_by_role("button", name="Draw", exact=True).click()
            page.get_by_text(re.compile(r"\d+/3 steps")).first.wait_for()
            if label:
                page.get_by_role("button", name=label).first.click()
                assert "Stopped" in toast(seen)
    deadline = time.monotonic() + 8
    while len(ended) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(ended) == 2 and max(ended) < 190


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_light_and_dark(address: str, browser: Any, dark: bool, tmp_path: Path) -> None:
    with visit(address, browser=browser, size=PHONE, dark=dark) as seen:
        page = seen.page
        for tab in ("Reconstruct", "Generate", "Explore", "Steps and guidance"):
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
            page.screenshot(path=tmp_path / f"{tab}.png", full_page=True)
        page.get_by_role("tab", name="Reconstruct").click()
        result, button = (
            page.locator(place).bounding_box()["y"]
            for place in ("#comparison", "button.primary >> nth=0")
        )
        assert result < button
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", color)[:3])) > 600
        assert light != dark


def test_a_page_of_classes_and_codes(studios: Studios, browser: Any) -> None:
    with served(studios("codes-class")) as address, visit(address, browser=browser) as seen:
        page = seen.page
        page.get_by_role("tab", name="Generate").click()
        assert page.get_by_label("Temperature").count() > 0
        page.get_by_label("Class").first.click()
        page.get_by_role("option", name="sky").click()
        page.get_by_role("button", name="Draw", exact=True).click()
        page.locator("#drawn .thumbnail-item").nth(3).wait_for()
        page.get_by_role("tab", name="Explore").click()
        page.get_by_text("there is nothing between two of them").wait_for()
        assert page.get_by_role("button", name="Interpolate").count() == 0
        assert alone(seen, address)


def test_a_page_of_a_tokenizer(studios: Studios, browser: Any) -> None:
    with served(studios("plain")) as address, visit(address, browser=browser) as seen:
        page = seen.page
        assert page.locator("#comparison .card").count() == 2
        assert page.get_by_label("Its caption").count() == 0
        page.get_by_role("tab", name="Generate").click()
        page.get_by_text("is a tokenizer without a generator: it draws nothing").wait_for()
        assert alone(seen, address)


def test_a_page_of_a_decoder_that_samples(studios: Studios, browser: Any, tmp_path: Path) -> None:
    with served(studios("flow")) as address, visit(address, browser=browser) as seen:
        page = seen.page
        row = page.locator("#comparison .samples img")
        assert row.count() == 5  # four samples and their mean, before anything is clicked
        samples, kept = (
            page.get_by_label(f"number input for {label}") for label in ("Samples", "Tokens kept")
        )
        samples.fill("2")
        samples.blur()
        page.wait_for_function("document.querySelectorAll('#comparison .samples img').length == 3")
        kept.fill("0")
        kept.blur()
        page.get_by_text("Kept: 0 tokens of 2 numbers").wait_for()
        assert row.count() == 3
        page.screenshot(path=tmp_path / "samples.png", full_page=True)
        assert alone(seen, address)
