"""What stands before the page, without a page: which requests come through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from textok.demo.limits import REQUEST_BYTES, UPLOAD_BYTES
from textok.demo.request_filter import POLICY, RequestFilter


def ask(
    folder: Path,
    path: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Status, body and headers of the answer; what comes through is answered with what it held."""

    async def page(scope: Any, receive: Any, send: Any) -> None:
        held, more = b"", method == "POST"
        while more:
            message = await receive()
            held, more = held + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": held})

    parts = [body[at : at + 70_000] for at in range(0, len(body), 70_000)] or [b""]
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    incoming[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    sent_headers = {"host": "127.0.0.1:7860", **(headers or {})}
    named = [(name.encode(), value.encode()) for name, value in sent_headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": named}
    asyncio.run(RequestFilter(page, folder=folder)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/assets/index.js",
        "/theme.css",
        "/gradio_api/queue/data",
        "/gradio_api/info",
    ],
)
def test_what_the_page_needs_comes_through(path: str, tmp_path: Path) -> None:
    status, _, headers = ask(tmp_path, path)
    assert status == 200
    assert headers[b"content-security-policy"] == POLICY
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/docs", "/monitoring", "/file=/etc/passwd", "/gradio_api/run/generate",
        "/gradio_api/api/generate", "/gradio_api/proxy=http://a", "/gradio_api/runs",
        "/gradio_api/run-history/buckets", "/gradio_api/vibe-edit", "/gradio_api/deep_link",
    ],
)  # fmt: skip
def test_what_it_does_not_need_is_not_there(path: str, tmp_path: Path) -> None:
    assert ask(tmp_path, path)[0] == 404


def test_files_of_its_own_folder_alone(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "a.png").write_bytes(b"a")
    (ours / "link").symlink_to("/etc/passwd")
    for path, status in {
        f"{ours}/a.png": 200,
        "/etc/passwd": 403,
        f"{ours}/../../../../../../../etc/passwd": 403,
        f"{ours}/link": 403,
        f"{ours}2/a.png": 403,
        "a.png": 403,
        "http://example.com/a.png": 403,
        "//example.com/a.png": 403,
        f"{ours}/\0": 403,
    }.items():
        assert ask(ours, f"/gradio_api/file={path}")[0] == status, path


def test_a_request_names_files_of_its_own_folder_alone(tmp_path: Path) -> None:
    for path, status in {
        f"{tmp_path}/a.png": 200,
        "/etc/passwd": 400,
        "http://example.com/a.png": 400,
        "": 400,
    }.items():
        for data in ([{"path": path}], [[{"a": {"image": {"path": path}}}]]):
            body = json.dumps({"data": data}).encode()
            answer = ask(tmp_path, "/gradio_api/queue/join", method="POST", body=body)
            assert answer[0] == status, (path, data)
            assert answer[1] == (body if status == 200 else b'{"detail": "upload the file first"}')


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'"' + b"a" * (REQUEST_BYTES - 2) + b'"', 200),
        (b'"' + b"a" * REQUEST_BYTES + b'"', 413),
        (b"{", 400),
        (b"[" * 50_000, 400),
        (b"\xff", 400),
        (b"", 200),
    ],
    ids="long too-long half deep binary empty".split(),
)
def test_what_a_request_may_hold(body: bytes, status: int, tmp_path: Path) -> None:
    assert ask(tmp_path, "/gradio_api/call/generate", method="POST", body=body)[0] == status


def test_uploads_say_how_long_they_are(tmp_path: Path) -> None:
    for length, status in {"": 411, "x": 411, "9": 200, str(UPLOAD_BYTES * 2): 413}.items():
        headers = {"content-length": length} if length else {}
        answer = ask(
            tmp_path, "/gradio_api/upload", method="POST", body=b"not JSON", headers=headers
        )
        assert answer[0] == status
    assert ask(tmp_path, "/", method="DELETE")[0] == 405
