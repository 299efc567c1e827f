"""Fuzzing with many examples: ``python -m tests.fuzz --examples 1000 [words for pytest]``.

Examples are random, each test has so many. One that fails is shrunk, printed, and tried first the
next time (.hypothesis/). Put it into tests/fuzz/corpus with the message that it ought to have.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="of each test")
    given, words = parser.parse_known_args()
    os.environ["TEXTOK_FUZZ_EXAMPLES"] = str(given.examples)

    import pytest

    paths = [] if any(".py" in word for word in words) else [str(Path(__file__).parent)]
    return int(pytest.main([*paths, *words]))


if __name__ == "__main__":
    sys.exit(main())
