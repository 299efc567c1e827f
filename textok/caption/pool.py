"""Calls side by side, whose results come as they are ready."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool(Generic[Item, Result]):
    """``threads`` calls of ``work`` at once, each item taken only when a thread is free for it.

    Daemon threads: they end with the process, without being joined.
    """

    def __init__(self, work: Callable[[Item], Result], *, threads: int) -> None:
        self._work, self._threads = work, threads
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self.busy = 0
        """Items that are being worked on."""

    def results(self, items: Iterable[Item], *, idle: Callable[[], None]) -> Iterator[Result]:
        """The results of all items, and the exception of the first that fails.

        ``idle`` is called several times a second while nothing is ready.
        """
        for _ in range(self._threads):
            threading.Thread(target=self._serve, daemon=True).start()
        try:
            yield from self._drain(iter(items), idle)
        finally:
            for _ in range(self._threads):
                self._items.put(None)

    def _drain(self, items: Iterator[Item], idle: Callable[[], None]) -> Iterator[Result]:
        while True:
            while self.busy < self._threads and (item := next(items, None)) is not None:
                self._items.put(item)
                self.busy += 1
            if not self.busy:
                return
            try:
                result = self._results.get(timeout=0.1)
            except queue.Empty:
                idle()
                continue
            self.busy -= 1
            if isinstance(result, BaseException):
                raise result
            yield result

    def _serve(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._results.put(self._work(item))
            except BaseException as error:  # raised where the results are read
                self._results.put(error)
