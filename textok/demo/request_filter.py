"""What stands before the page: the addresses it needs, requests of a bounded size, its own files.

Requests for another host, from another site, of too many at once, and bodies that take too long
are refused.

Gradio serves more than this page needs: files that are named by an address elsewhere (which the
server would fetch), calls past the queue, a record of runs. All of that is refused here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from textok.demo.hosts import Hosts
from textok.demo.limits import (
    CALL_SECONDS,
    REQUEST_BYTES,
    UPLOAD_BYTES,
    UPLOAD_FILES,
    UPLOAD_SECONDS,
)
from textok.demo.visitors import Visitors, visitor_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILES = f"{API}/file="
UPLOAD = f"{API}/upload"
LOGIN = "/login"
PAGE = (
    "/",
    LOGIN,
    f"{LOGIN}/",
    "/logout",
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/manifest.json",
    "/robots.txt",
)
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
DISPOSITION = b"content-disposition"
"""Each file of an upload has one."""


class RequestFilter:
    """ASGI middleware. ``folder`` holds the page's uploads and generated files.

    ``hosts``: the names under which the page is served. ``before_call`` is run before each request
    that asks the model.
    """

    def __init__(
        self,
        app: App,
        *,
        folder: Path,
        hosts: Hosts | None = None,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._folder = folder.resolve()
        self._hosts = hosts or Hosts()
        self._visitors = Visitors(self._folder)
        self._before_call = before_call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page has no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        visitor = visitor_of(scope.get("client"))
        status, reason = self._hosts.refusal(
            dict(scope["headers"]), api=scope["path"].startswith(API)
        )
        if not status:
            status, reason = self._visitors.refusal(visitor)
        if not status:
            status, reason = self._refusal(scope)
        if status:
            await _answer(send, status, reason)
            return
        with self._visitors.requests.one(visitor):
            if scope["method"] != "POST":
                await self._app(scope, receive, _strict(send))
            elif scope["path"] == UPLOAD:
                await self._upload(scope, receive, send, visitor)
            else:
                await self._call(scope, receive, send, visitor)

    async def _call(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass a request on once all of it is there."""
        if scope["path"].rstrip("/") == LOGIN:
            status, reason = self._visitors.refusal_of_login(visitor)
        else:
            status, reason = self._visitors.refusal_of_files()
        if not status:
            self._before_call()
            try:
                body = await _read(receive, REQUEST_BYTES, CALL_SECONDS)
            except asyncio.TimeoutError:
                status, reason = 408, f"a request must arrive within {CALL_SECONDS} seconds"
            else:
                status, reason = self._refusal_of(body, form=scope["path"].rstrip("/") == LOGIN)
        if status:
            await _answer(send, status, reason)
        else:
            await self._app(scope, _again(body or b"", receive), _strict(send))

    async def _upload(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass an upload on once all of it is there: half of one leaves nothing on the disk."""
        length = _length(scope) or 0
        status, reason = self._visitors.refusal_of_upload(visitor, length)
        if not status:
            with self._visitors.uploading(visitor, length):
                try:
                    body = await _read(receive, UPLOAD_BYTES + FORM_OVERHEAD, UPLOAD_SECONDS)
                except asyncio.TimeoutError:
                    status, reason = 408, f"an upload must arrive within {UPLOAD_SECONDS} seconds"
                else:
                    if body is not None and body.lower().count(DISPOSITION) <= UPLOAD_FILES:
                        await self._app(scope, _again(body, receive), _strict(send))
                        return
                    status, reason = 413, f"at most {UPLOAD_FILES} files are taken at once"
        await _answer(send, status, reason)

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

    def _refusal_of(self, body: bytes | None, *, form: bool = False) -> tuple[int, str]:
        """The same for what a request holds; ``form``: not JSON but a name and a password."""
        if body is None:
            return 413, f"a request has at most {REQUEST_BYTES:,} bytes"
        if form:
            return 0, ""
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


async def _read(receive: Receive, most: int, seconds: float) -> bytes | None:
    """The whole body; None where it is longer than ``most`` bytes.

    Raises asyncio.TimeoutError where it is not there within ``seconds``.
    """

    async def read() -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise asyncio.TimeoutError
            body += message.get("body", b"")
            if len(body) > most:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    return await asyncio.wait_for(read(), seconds)


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
    if status == 408:  # after another refusal what is left of the request is read, for a while
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
