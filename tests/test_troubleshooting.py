"""The messages that docs/troubleshooting.md explains are messages of textok."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = sorted(
    {
        span
        for heading in re.findall(r"^### (.+)$", PAGE, re.M)
        for span in re.findall(r"`([^`]+)`", heading)
        if " " in span
    }
)


@pytest.fixture(scope="module")
def strings() -> str:
    """The fixed parts of every string of the package."""
    trees = [ast.parse(file.read_text("utf-8")) for file in (ROOT / "textok").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [node.value.replace("`", "") for node in nodes if isinstance(node.value, str)]
    return "\n".join(texts)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_in_the_code(message: str, strings: str) -> None:
    fixed = [part for part in message.split("...") if part]
    assert any(len(part) > 10 for part in fixed)
    assert [part for part in fixed if part not in strings] == []
