"""Gains by the caption of all studies, in one table and one plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studies.caption_gains import Settings, main
from studies.notes import NOTES
from tests.studies.reports import reported


def tokenizer(text: str, seed: int, **frechet: float) -> dict[str, Any]:
    captions = {kind: {"frechet": {"FD": value}} for kind, value in frechet.items()}
    return {"tokens": 4, "text": text, "seed": seed, "captions": captions}


def test_all_gains_that_were_measured_are_listed(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    photographs = [
        tokenizer("none", 0, absent=100),
        tokenizer("both", 0, true=90, absent=120),
        tokenizer("none", 1, absent=200),
        tokenizer("both", 1, true=160, absent=160),
        tokenizer("decoder", 0, true=99),
    ]
    nested = {"none": {"0": {"frechet": {"FD": 80}}}, "absent": {}, "guidance": 3}
    nested |= {"both": {"0": {"frechet": {"FD": 70}}}, "guided": {"0": {"frechet": {"FD": 40}}}}
    decoders = {"regression": {"tokenizers": []}, "flow": {"tokenizers": photographs[1:2]}}
    summaries = {
        "products": {"tokenizers": []},
        "flow-products": {"nested": nested},
        "photographs": {"tokenizers": photographs},
        "ten-classes": {"nested": nested},
        "flow-decoder": {"decoders": decoders, "nested": {"flow": nested, "regression": None}},
    }
    for name, found in summaries.items():
        (results / name).mkdir(parents=True)
        (results / name / "summary.json").write_text(json.dumps(found))
    for folder, distance in (("bundled-tokenizer/test", 90.0), ("products/nested", 70.0)):
        reported(
            results / folder,
            [("true", 1, distance), ("absent", 1, 100.0), ("pca", 1, 150.0)],
        )
    out.mkdir()
    (out / "README.md").write_text(f"before\n\n{NOTES}\n\nBy hand.\n")
    main(Settings(results=results, out=out))
    text = (out / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| products, nested | 1 | 1 | – | 30.0 |",
        "| products, bundled | 1 | 1 | – | 10.0 |",
        "| products, flow | 0 | 1 | 12.5 | – |",
        "| products, flow, guidance 3 | 0 | 1 | 50.0 | – |",
        "| photographs | 4 | 2 | 15.0 | 12.5 |",
        "| photographs, decoder alone | 4 | 1 | 1.0 | – |",
        "| photographs, flow | 4 | 1 | – | 25.0 |",
        "| photographs, nested flow | 0 | 1 | 12.5 | – |",
        "| photographs, nested flow, guidance 3 | 0 | 1 | 50.0 | – |",
        "| ten classes, nested flow | 0 | 1 | 12.5 | – |",
        "| ten classes, nested flow, guidance 3 | 0 | 1 | 50.0 | – |",
    ]
    assert text.endswith(f"\n{NOTES}\n\nBy hand.\n") and not text.startswith("before")
    assert (out / "gains.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(Settings(results=tmp_path, out=tmp_path / "out"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: caption_gains: ") and "summary.json" in line
    assert not (tmp_path / "out").exists()
