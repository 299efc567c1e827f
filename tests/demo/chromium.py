"""A headless Chromium that opens the page as a visitor would, and notes what it asks for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
def visit(
    address: str,
    *,
    size: tuple[int, int] = DESK,
    dark: bool = False,
    scale: float = 1,
    ready: str = "#comparison .card",
) -> Iterator[Visit]:
    """The page at ``address``, once ``ready`` is there: of the demo, its first reconstruction."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            chromium_sandbox=False,
            args=FLAGS,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
            accept_downloads=True,
        )
        try:
            seen = Visit(context.pages[0])
            seen.page.set_default_timeout(20_000)
            seen.page.goto(address)
            seen.page.locator(ready).first.wait_for()
            yield seen
        finally:
            context.close()
