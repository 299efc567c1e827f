"""Gains by the caption of all studies, in one table and one plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studies.caption_gains import Settings, main
from studies.notes import NOTES


def pairs(*, gain: float | None, one_sided: float | None) -> dict[str, Any]:
    by_tokens = {
        "2": {"mean": None, "by_seed": {"0": None, "1": None}},
        "4": {"mean": gain, "by_seed": {"0": gain, "1": None}},
    }
    return {
        "tokenizer_fd_gain_percent": {"FD": {"mean": gain, "by_tokens": by_tokens}},
        "one_sided_gain_percent": {"FD": {"encoder": None, "decoder": one_sided}},
        "tokenizers": [{"tokens": 4, "text": "decoder"}] if one_sided is not None else [],
    }


def flow() -> dict[str, Any]:
    by_tokens: dict[str, Any] = {"4": None, "8": 6.0}
    return {
        "networks": {
            "FD": {
                "caption_gain_percent_regression": {"by_tokens": {"4": None, "8": None}},
                "caption_gain_percent_flow": {"by_tokens": by_tokens},
            }
        },
        "nested": {
            "gain_percent": {"both": {"0": {"FD": 12.5}}, "guided": {"0": {"FD": 31.0}}},
            "guidance": 3,
        },
    }


def test_all_gains_that_were_measured_are_listed(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    summaries = {
        "products": pairs(gain=4.25, one_sided=None),
        "photographs": pairs(gain=-1.0, one_sided=2.0),
        "flow-decoder": flow(),
    }
    for name, found in summaries.items():
        (results / name).mkdir(parents=True)
        (results / name / "summary.json").write_text(json.dumps(found))
    out.mkdir()
    (out / "README.md").write_text(f"old\n\n{NOTES}\n\nBy hand.\n")
    main(Settings(results=results, out=out))
    text = (out / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| products | 4 | 1 | 4.2 |",
        "| photographs | 4 | 1 | -1.0 |",
        "| photographs, decoder alone | 4 | 1 | 2.0 |",
        "| photographs, flow | 8 | 1 | 6.0 |",
        "| photographs, nested flow | 0 | 1 | 12.5 |",
        "| photographs, nested flow, guidance 3 | 0 | 1 | 31.0 |",
    ]
    assert text.endswith(f"\n{NOTES}\n\nBy hand.\n") and "old" not in text
    assert (out / "gains.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"caption_gains: error: .*summary\.json"):
        main(Settings(results=tmp_path, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
