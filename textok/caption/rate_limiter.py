"""When the next request may go out: one clock for all threads."""

from __future__ import annotations

import threading
import time

from textok.caption.answer import Stopped


class RateLimiter:
    """At most ``per_minute`` requests a minute, evenly spaced; 0: no limit."""

    def __init__(self, per_minute: float, stopping: threading.Event) -> None:
        self._interval = 60 / per_minute if per_minute else 0.0
        self._stopping = stopping
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is this request's turn. Raises Stopped."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        self.sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Let no request start for so long: the server requires it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait for so long. Raises Stopped where a stop is requested meanwhile."""
        if self._stopping.wait(max(0.0, seconds)):
            raise Stopped
