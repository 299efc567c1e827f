"""How many examples are tried: a few in CI, as many as asked for by ``python -m tests.fuzz``."""

from __future__ import annotations

import os

from hypothesis import settings

VARIABLE = "TEXTOK_FUZZ_EXAMPLES"
MANY = int(os.environ.get(VARIABLE, "0"))


def examples(few: int) -> settings:
    """Decorates a test: ``few`` examples in CI."""
    return settings(max_examples=MANY or few)
