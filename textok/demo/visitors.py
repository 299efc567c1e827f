"""How much each visitor asks for at once and leaves on the disk, and all of them together."""

from __future__ import annotations

import ipaddress
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from textok.demo import limits

Refusal = tuple[int, str]
FULL = "the page has no space left for files: try again in some minutes"
SMALLEST = 65_536
"""Bytes that an upload counts for at the least: each has a folder of its own."""


def visitor_of(client: object) -> str:
    """Who asks: an address, or of IPv6 the network that one customer has."""
    name = str(client[0]) if isinstance(client, tuple | list) and client else ""
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name
    if address.version == 6 and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


@dataclass
class _Busy:
    """Counts of what is being done, in all and per visitor."""

    most: int
    most_each: int
    counts: Counter[str] = field(default_factory=Counter)

    def full(self, visitor: str) -> bool:
        return self.counts.total() >= self.most or self.counts[visitor] >= self.most_each

    @contextmanager
    def one(self, visitor: str) -> Iterator[None]:
        self.counts[visitor] += 1
        try:
            yield
        finally:
            self.counts[visitor] -= 1
            if not self.counts[visitor]:
                del self.counts[visitor]


class Visitors:
    """Counts requests, uploads and attempts to log in; ``folder`` holds the page's files."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self.requests = _Busy(limits.REQUESTS, limits.REQUESTS_EACH)
        self.uploads = _Busy(limits.UPLOADS, limits.UPLOADS_EACH)
        self._incoming = 0
        self._kept: dict[str, deque[tuple[float, int]]] = {}
        self._logins: dict[str, deque[tuple[float, int]]] = {}

    def refusal(self, visitor: str) -> Refusal:
        """Status and reason where a further request is one too many, (0, "") where not."""
        return (429, "too many requests at once") if self.requests.full(visitor) else (0, "")

    def refusal_of_files(self) -> Refusal:
        """The same for a request that may write files."""
        full = _folder_bytes(self._folder) + self._incoming > limits.FOLDER_BYTES
        return (507, FULL) if full else (0, "")

    def refusal_of_upload(self, visitor: str, size: int) -> Refusal:
        """The same for an upload of ``size`` bytes."""
        size = max(size, SMALLEST)
        if self.uploads.full(visitor):
            return 429, "too many uploads at once"
        kept = _recent(self._kept, self._clock() - limits.DELETED_SECONDS)
        mine = sum(one for _, one in kept.get(visitor, ()))
        if mine + size > limits.UPLOAD_BYTES_EACH:
            minutes = limits.DELETED_SECONDS // 60
            most = f"{limits.UPLOAD_BYTES_EACH / 1e6:.0f} MB in {minutes} minutes"
            return 429, f"at most {most} are taken from one visitor"
        if _folder_bytes(self._folder) + self._incoming + size > limits.FOLDER_BYTES:
            return 507, FULL
        return 0, ""

    @contextmanager
    def uploading(self, visitor: str, size: int) -> Iterator[None]:
        """Counts an upload while it arrives, and what it leaves."""
        size = max(size, SMALLEST)
        self._kept.setdefault(visitor, deque()).append((self._clock(), size))
        self._incoming += size
        try:
            with self.uploads.one(visitor):
                yield
        finally:
            self._incoming -= size

    def refusal_of_login(self, visitor: str) -> Refusal:
        """Counts an attempt to log in; refuses it where there were too many."""
        tried = _recent(self._logins, self._clock() - 60).setdefault(visitor, deque())
        if len(tried) >= limits.LOGINS:
            return 429, "too many attempts to log in: wait a minute"
        tried.append((self._clock(), 1))
        return 0, ""


def _recent(
    log: dict[str, deque[tuple[float, int]]], start: float
) -> dict[str, deque[tuple[float, int]]]:
    """``log`` without what is older than ``start`` and who has done nothing since."""
    for visitor, entries in list(log.items()):
        while entries and entries[0][0] < start:
            entries.popleft()
        if not entries:
            del log[visitor]
    return log


def _folder_bytes(folder: Path) -> int:
    """Bytes of all files under ``folder``; files that go meanwhile count for nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(where) / name).lstat().st_size
            except OSError:
                continue
    return total
