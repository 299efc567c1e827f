"""What stands before the page: the addresses it needs, requests of a bounded size, its own files.

Gradio serves more than this page needs: files that are named by an address elsewhere (which the
server would fetch), calls past the queue, a record of runs. All of that is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from textok.demo.limits import REQUEST_BYTES, UPLOAD_BYTES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILES = f"{API}/file="
UPLOAD = f"{API}/upload"
PAGE = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
FOLDERS = ("/assets/", "/static/", "/svelte/")
CALLS = tuple(
    f"{API}/{name}"
    for name in "queue/ call/ heartbeat/ info upload_progress cancel startup-events reset".split()
)
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "base-uri 'self'",
    ]
).encode()
"""The browser asks no other server for anything, whatever the page's scripts would like."""
FORM_OVERHEAD = 10_000


class RequestFilter:
    """ASGI middleware. ``folder`` holds the page's uploads and drawn files."""

    def __init__(self, app: App, *, folder: Path) -> None:
        self._app = app
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None
        status, reason = self._refusal(scope)
        if not status and scope["method"] == "POST" and scope["path"] != UPLOAD:
            body = await _read(receive)
            status, reason = self._refusal_of(body)
        if status:
            await _answer(send, status, reason)
            return
        await self._app(scope, receive if body is None else _again(body, receive), _strict(send))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """Status and reason where an address is not served, (0, "") where it is."""
        path, method = scope["path"], scope["method"]
        if method not in ("GET", "HEAD", "POST", "OPTIONS"):
            return 405, "no such method"
        if path.startswith(FILES):
            served = self._is_ours(path.removeprefix(FILES))
            return (0, "") if served else (403, "this file is not served")
        if path == UPLOAD:
            length = _length(scope)
            if length is None:
                return 411, "an upload must say how long it is"
            if length > UPLOAD_BYTES + FORM_OVERHEAD:
                return 413, f"at most {UPLOAD_BYTES / 1e6:.0f} MB are taken"
            return 0, ""
        known = path in PAGE or path.startswith((*FOLDERS, *CALLS))
        return (0, "") if known else (404, "no such page")

    def _refusal_of(self, body: bytes | None) -> tuple[int, str]:
        """The same for what a request holds."""
        if body is None:
            return 413, f"a request has at most {REQUEST_BYTES:,} bytes"
        try:
            paths = list(_paths(json.loads(body or b"null")))
        except (ValueError, RecursionError):
            return 400, "not JSON"
        ours = all(self._is_ours(str(path)) for path in paths)
        return (0, "") if ours else (400, "upload the file first")

    def _is_ours(self, path: str) -> bool:
        """Whether a file lies in the page's folder, once links and dots are followed."""
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):  # too long, or with a null in it
            return False


def _paths(value: object) -> Iterator[object]:
    """Every "path", at any depth: gradio takes what has one for a file, and fetches addresses."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _length(scope: Scope) -> int | None:
    found = dict(scope["headers"]).get(b"content-length", b"")
    return int(found) if found.isdigit() else None


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > REQUEST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` that begins with a body that was read already."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _strict(send: Send) -> Send:
    """``send`` that adds what a browser is to keep to."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            headers += [
                (b"content-security-policy", POLICY),
                (b"referrer-policy", b"no-referrer"),
                (b"x-content-type-options", b"nosniff"),
            ]
            message = {**message, "headers": headers}
        await send(message)

    return adding


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
