"""Connections to the page: not too many, and none that stays half open."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

BODY = b'{"detail": "too many connections: try again in a moment"}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"retry-after: 5\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def limited_protocol(most: int, seconds: float) -> type[H11Protocol]:
    """HTTP/1.1 over at most ``most`` connections, half of them from one address of another machine.

    One whose request's head is not there within ``seconds`` is closed.
    """

    class Limited(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            peer = self.client[0] if self.client else ""
            from_peer = sum(_peer_of(one) == peer for one in self.connections)
            each = most if _is_loopback(peer) else max(1, most // 2)  # a proxy has all visitors
            if len(self.connections) > most or from_peer > each:
                transport.write(FULL)
                transport.close()
            else:
                self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._unwatch()

        def _watch(self) -> None:
            """Start the clock while the head of a request is awaited, stop it once it is there."""
            if self._at_work():
                self._unwatch()
            elif self._deadline is None and not self.transport.is_closing():
                self._deadline = self.loop.call_later(seconds, self._late)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _late(self) -> None:
            self._deadline = None
            if not self._at_work():
                self.transport.abort()

        def _at_work(self) -> bool:
            cycle: Any = self.cycle  # None before the first request
            return cycle is not None and not cycle.response_complete

    return Limited


def _peer_of(connection: object) -> str:
    client = getattr(connection, "client", None)
    return str(client[0]) if client else ""


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer.partition("%")[0]).is_loopback
    except ValueError:  # a socket file, as a proxy on the same machine uses
        return True
