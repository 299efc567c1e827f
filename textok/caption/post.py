"""One request to a server that may do anything: answer late, wrongly, in part or not at all."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from textok.caption.answer import SHOWN, Kind

MAX_BYTES = 16_000_000
PASSING = (408, 409, 425, 429)
"""Beside 5xx: statuses that another attempt may not have."""


class Fault(Exception):
    """A request that failed: ``kind``, a reason in one line, and whether to try again."""

    def __init__(
        self,
        kind: Kind,
        reason: str,
        *,
        passing: bool = True,
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason
        self.passing = passing
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asks to wait."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Following one would hand the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def post_json(url: str, body: object, *, key: str, timeout: float) -> Any:
    """Send ``body`` as JSON and read a JSON answer; raises Fault.

    ``timeout`` holds for every wait and for the answer as a whole. The key is taken out of
    whatever the server sends back.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    end = time.monotonic() + timeout
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            content_type = response.headers.get_content_type()
            data = _read(response, end)
    except urllib.error.HTTPError as error:
        with error:
            raise _status_fault(error, key, end) from None
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise _transport_fault(error, timeout, key) from None
    try:
        return json.loads(_without(key, data))
    except ValueError:
        start = _one_line(_without(key, data))
        reason = f"not JSON but {content_type}, {len(data)} bytes: {start}"
        raise Fault("bad answer", reason) from None


def _read(response: http.client.HTTPResponse | urllib.error.HTTPError, end: float) -> bytes:
    """The body, whole. Raises TimeoutError where that takes beyond ``end``."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if time.monotonic() > end:
            raise TimeoutError
        if size > MAX_BYTES:
            raise Fault("bad answer", f"over {MAX_BYTES:,} bytes", passing=False)
    return b"".join(parts)


def _status_fault(error: urllib.error.HTTPError, key: str, end: float) -> Fault:
    try:
        data = _read(error, end)
    except (OSError, http.client.HTTPException, Fault):
        data = b""
    return Fault(
        "http",
        f"{error.code} {_one_line(_without(key, _message(data)))}".rstrip(),
        passing=error.code in PASSING or error.code >= 500,
        status=error.code,
        retry_after=_retry_after(error.headers),
    )


def _transport_fault(error: Exception, timeout: float, key: str) -> Fault:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return Fault("timeout", f"no whole answer within {timeout:g} s")
    text = _one_line(_without(key, str(cause).encode())) or type(cause).__name__
    return Fault("connection", text)


def _message(data: bytes) -> bytes:
    """What an error's body says: the message in OpenAI's form, or all of it."""
    try:
        error = json.loads(data)["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        return data
    code = f" ({error['code']})" if isinstance(error, dict) and error.get("code") else ""
    return f"{message}{code}".encode()


def _retry_after(headers: Message) -> float | None:
    """Seconds or a date, as RFC 9110 10.2.3 has it."""
    text = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _without(key: str, data: bytes) -> bytes:
    # A key like "ollama" is no secret, and a word that captions may use.
    return data.replace(key.encode(), b"***") if len(key) > 7 else data


def _one_line(data: bytes) -> str:
    return " ".join(data[: 4 * SHOWN].decode("utf-8", "replace").split())[:SHOWN]
