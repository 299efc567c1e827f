"""A page's interface as a program uses it: plain HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a call."""

    status: int
    """200, or that of a refusal."""
    data: Any = None
    """The results."""
    error: str = ""
    """The message that a visitor sees instead."""


async def call(client: httpx.AsyncClient, name: str, *inputs: object) -> Answer:
    """One call, in its turn."""
    posted = await client.post(f"/gradio_api/call/{name}", json={"data": inputs}, timeout=SECONDS)
    if posted.status_code != 200:
        return Answer(status=posted.status_code, error=posted.json()["detail"])
    place = f"/gradio_api/call/{name}/{posted.json()['event_id']}"
    kind = ""
    async with client.stream("GET", place, timeout=SECONDS) as lines:
        async for line in lines.aiter_lines():
            word, _, rest = line.partition(": ")
            if word == "event":
                kind = rest
            elif word == "data" and kind in ("complete", "error"):
                found = json.loads(rest)
                if kind == "complete":
                    return Answer(status=200, data=found)
                return Answer(status=200, error=found["error"])
    raise AssertionError(f"{name} was not answered")


async def upload(client: httpx.AsyncClient, data: bytes, name: str = "a.png") -> httpx.Response:
    """Send a file; the answer is a list of one path, or a refusal."""
    return await client.post("/gradio_api/upload", files={"files": (name, data)}, timeout=SECONDS)


async def uploaded(client: httpx.AsyncClient, data: bytes, name: str = "a.png") -> dict[str, Any]:
    """An uploaded file, as a call takes it."""
    answer = await upload(client, data, name)
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def opened(address: str) -> httpx.AsyncClient:
    """A client of the page, that ignores what the environment says of proxies."""
    limits = httpx.Limits(max_connections=200)
    return httpx.AsyncClient(base_url=address, trust_env=False, limits=limits)


def files_of(answer: Answer) -> list[Path]:
    """Those of a gallery, on this machine."""
    return [Path(one["image"]["path"]) for one in answer.data[0]]
