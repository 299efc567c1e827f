"""A chat-completions server of which every answer is scripted, and images to ask about."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder
from textok.caption import endpoint
from textok.config.caption import CaptionConfig, EndpointConfig
from textok.data.caption_files import caption_lines

KEY = "sk-very-secret-0123456789"


def chat(text: object = "a grey square", **choice: object) -> dict[str, object]:
    """A chat completion of 100 tokens in, 10 out."""
    message = choice.pop("message", {"role": "assistant", "content": text})
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }


@dataclass(kw_only=True)
class Reply:
    """What goes over the line."""

    body: object = field(default_factory=chat)
    """JSON, or bytes as they are."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    """Bytes at the end that are promised and not sent."""
    wait: float = 0
    """Seconds before each of the last two bytes."""
    drop: bool = False
    """Close without a word."""


@dataclass(kw_only=True)
class Server:
    """Answers request number i with ``script(i, body)``."""

    script: Callable[[int, dict[str, Any]], Reply]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    @property
    def asked(self) -> int:
        return len(self.bodies)


@contextmanager
def serve(script: Callable[[int, dict[str, Any]], Reply]) -> Iterator[Server]:
    """A server on loopback while entered."""
    server = Server(script=script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                number = server.asked
                server.bodies.append({**body, "path": self.path})
                server.headers.append(dict(self.headers))
            reply = server.script(number, body)
            if reply.drop:
                self.connection.close()
                return
            body = reply.body
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(reply.status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) - max(reply.cut, 2)])
            for at in range(len(data) - 2, len(data)) if not reply.cut else ():
                stop.wait(reply.wait)
                self.wfile.write(data[at : at + 1])

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass

    stop = threading.Event()
    with Quiet(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/v1"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            http.shutdown()
            thread.join()


def asked(**settings: Any) -> CaptionConfig:
    return CaptionConfig(**{"model": "seer", **settings})


def via(server: Server, **settings: Any) -> EndpointConfig:
    return EndpointConfig(**{"url": server.url, "concurrency": 2, **settings})


def lines(folder: Path) -> list[dict[str, Any]]:
    """All lines that were written."""
    return [line for file in sorted(folder.glob("*.jsonl")) for line in caption_lines(file)]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.02)
    return KEY


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Twelve grey squares, 0.png to 11.png."""
    return write_folder(tmp_path / "squares", {f"{i}.png": encoded(20 * i) for i in range(12)})
