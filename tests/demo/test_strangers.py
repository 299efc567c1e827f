"""A page that strangers reach: other hosts and sites, half requests, passwords, many visits."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gradio")

from tests.demo.client import call, opened, upload
from tests.demo.conftest import served
from tests.demo.test_server import DRAW, png, run
from textok.demo import limits, request_filter, serve
from textok.demo.page import frame, sessions
from textok.demo.studio import Studio

Studios = Callable[[str], Studio]
Client = httpx.AsyncClient


@pytest.fixture(scope="module")
def address(studios: Studios) -> Iterator[str]:
    with served(studios("text")) as found:
        yield found


def connect(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def answered(address: str, request: bytes) -> bytes:
    """All that comes until the server closes the connection."""
    with connect(address) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_another_host_is_refused(address: str) -> None:
    port = address.rpartition(":")[2]
    head = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"
    for host, status in {
        f"127.0.0.1:{port}": 200, f"localhost:{port}": 200, f"evil.example:{port}": 421, "": 421,
    }.items():  # fmt: skip
        answer = answered(address, head.format(host).encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), host
        assert status == 200 or b"--allowed-hosts" in answer


def test_another_site_cannot_fill_the_disk(address: str) -> None:
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    before = sum(1 for path in folder.rglob("*") if path.is_file())

    async def work(client: Client) -> None:
        for origin, status in {"https://evil.example": 403, "null": 403, address: 200}.items():
            client.headers["origin"] = origin
            for answer in (
                await upload(client, png()),
                await client.post("/gradio_api/call/grid", json={"data": ["a", "1", "1", 0]}),
            ):
                assert answer.status_code == status, origin

    run(address, work)
    assert sum(1 for path in folder.rglob("*") if path.is_file()) == before + 1


def test_many_files_in_one_upload(address: str) -> None:
    async def work(client: Client) -> None:
        for count, status in {limits.UPLOAD_FILES: 200, limits.UPLOAD_FILES + 1: 413}.items():
            files = [("files", (f"{i}.png", b"")) for i in range(count)]
            answer = await client.post("/gradio_api/upload", files=files)
            assert answer.status_code == status

    run(address, work)


def test_half_requests_are_closed(studios: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(request_filter, "CALL_SECONDS", 0.4)
    monkeypatch.setattr(request_filter, "UPLOAD_SECONDS", 0.4)
    host = "Host: localhost\r\n"
    get = f"GET /robots.txt HTTP/1.1\r\n{host}\r\n"
    post = f"HTTP/1.1\r\n{host}Content-Length: 1000\r\n\r\n{{"
    with served(studios("plain")) as address:
        start = time.monotonic()
        assert answered(address, b"") == b""
        assert answered(address, b"GET / HTTP/1.1\r\nHost: loc") == b""
        late = answered(address, f"{get}GET / HT".encode())  # a whole one, then half of one
        assert late.startswith(b"HTTP/1.1 200 ") and late.count(b"HTTP/1.1") == 1
        for path in ("call/reconstruct", "upload"):
            answer = answered(address, f"POST /gradio_api/{path} {post}".encode())
            assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - start < 8
        assert list(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*.png")) == []


def test_visits_are_forgotten(studios: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS", 5)
    monkeypatch.setattr(serve, "SESSIONS", 5)
    monkeypatch.setattr(sessions, "UNREAD", 3)
    pages: list[Any] = []
    build = frame.build_page
    monkeypatch.setattr(frame, "build_page", lambda *a: pages.append(build(*a)) or pages[-1])

    async def work(client: Client) -> None:
        for i in range(12):  # nobody fetches these
            body = {"data": ["x" * 2000, *DRAW[1:]], "session_hash": f"s{i}"}
            await client.post("/gradio_api/call/generate", json=body)
            await asyncio.sleep(0.05)
        while page._queue.event_ids_to_events:
            await asyncio.sleep(0.05)
        assert (await call(client, "generate", *DRAW)).error == ""
        while page._queue.event_ids_to_events:  # the answer is sent before the request is over
            await asyncio.sleep(0.05)

    with served(studios("text")) as address:
        (page,) = pages
        run(address, work)
        queue, holder = page._queue, page.state_holder
        assert len(holder.session_data) <= 6
        assert len(queue.pending_messages_per_session) <= 5
        assert len(queue.pending_event_ids_session) <= 5
        monkeypatch.setattr(sessions, "KEPT_SECONDS", 0)
        sessions.forget(page)
        assert not holder.session_data and not holder.time_last_used


def test_a_password(studios: Studios) -> None:
    async def work(client: Client) -> None:
        assert (await client.get("/config")).status_code == 401
        assert (await upload(client, png())).status_code == 401
        assert (await call_status(client)) == 401
        wrong = {"username": "ann", "password": "guess"}
        right = {"username": "ann", "password": "a:b c"}
        assert (await client.post("/login", data=wrong)).status_code == 400
        assert (await client.post("/login", data=right)).status_code == 200
        assert (await client.get("/config")).status_code == 200
        assert (await call(client, "generate", *DRAW)).error == ""
        client.cookies.clear()
        answers = [(await client.post("/login", data=wrong)).status_code for _ in range(9)]
        assert answers == [400] * 8 + [429]

    async def call_status(client: Client) -> int:
        answer = await client.post("/gradio_api/call/generate", json={"data": DRAW})
        return answer.status_code

    with served(studios("text"), users=[("ann", "a:b c"), ("bob", "x")]) as address:
        run(address, work)


def test_a_client_without_a_login_page(address: str) -> None:
    async def work() -> None:
        async with opened(address) as client:
            assert (await client.post("/login", content=b"0" * 200_000)).status_code == 413

    asyncio.run(work())
