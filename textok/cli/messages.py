"""What the package has to say, on the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


class _Printable(logging.Formatter):
    """File names may not be UTF-8."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).encode("utf-8", "backslashreplace").decode()


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Print messages of the package as one line on stderr, each once, by the first process."""
    logger, level = logging.getLogger("textok"), logging.getLogger("textok").level
    seen: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        known = message in seen
        seen.add(message)
        return not known

    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("textok: %(message)s"))
    handler.addFilter(is_new)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
