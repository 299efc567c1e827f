"""A headless Chromium that opens the page as a visitor would, and notes what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = (1200, 900), (390, 844)


class Visit:
    """A page of a browser, the servers that it asked, and what its console complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)


@contextmanager
def opened() -> Iterator[Any]:
    """A browser for several visits. While it is there, its thread can run no other event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, headless=True, chromium_sandbox=False, args=FLAGS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    address: str,
    *,
    browser: Any = None,
    size: tuple[int, int] = DESK,
    dark: bool = False,
    scale: float = 1,
    ready: str = "#comparison .card",
) -> Iterator[Visit]:
    """The page at ``address``, once ``ready`` is there: of the demo, its first reconstruction.

    A visitor brings nothing from an earlier visit, not even by the same ``browser``.
    """
    with ExitStack() as stack:
        browser = browser or stack.enter_context(opened())
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
            accept_downloads=True,
        )
        stack.callback(context.close)
        seen = Visit(context.new_page())
        seen.page.set_default_timeout(60_000)
        seen.page.goto(address)
        seen.page.locator(ready).first.wait_for()
        yield seen
