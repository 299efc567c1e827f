"""The next item is made in a thread while the present one is in use."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_TO_END = 5
"""How long the end waits for the last item, which is not needed any more."""


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The ``items``, each made by a thread while the one before it is in use.

    There have to be as many as are asked for.

    What the thread raises is raised here, in place of the item. A thread that hangs does not hold
    up the end of the program.
    """
    requests: Queue[bool] = Queue()
    made: Queue[Item | BaseException] = Queue()

    def make() -> None:
        while requests.get():
            try:
                made.put(next(items))
            except BaseException as error:
                made.put(error)

    thread = Thread(target=make, daemon=True)
    thread.start()
    requests.put(True)
    try:
        while True:
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            requests.put(True)
            yield item
    finally:
        requests.put(False)
        thread.join(timeout=SECONDS_TO_END)
