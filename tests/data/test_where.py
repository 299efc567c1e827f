from __future__ import annotations

from pathlib import Path

import pytest

from textok.data.records import Record
from textok.data.report import ReadReport
from textok.data.where import keep_records

FIELDS: list[dict[str, object]] = [
    {"style": "Noto", "core": True, "tags": ["x", "y"]},
    {"style": "openmoji", "core": True, "sign": "A|B"},
    {"style": "noto", "core": False, "year": 3, "sign": "b"},
]


def kept(where: str) -> list[str]:
    report = ReadReport()
    entries = [
        (Record(key=str(i), captions=(), label="ab"[i % 2], file=Path("x")), fields)
        for i, fields in enumerate(FIELDS)
    ]
    keys = [record.key for record in keep_records(entries, where, report)]
    assert report.filtered == 3 - len(keys)
    return keys


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("", ["0", "1", "2"]),
        ("style!=openmoji,core=true", ["0"]),
        (" style = NOTO ", ["0", "2"]),
        ("style != noto", ["1"]),
        ("core=False", ["2"]),
        ("tags=y", ["0"]),
        ("year=3", ["2"]),
        ("year=", ["0", "1"]),
        ("label=a,key!=0", ["2"]),
        ("key=0| 2,core=true", ["0"]),
        ("year=3|", ["0", "1", "2"]),
        ("tags=Y|z", ["0"]),
        ("sign=a|b", ["1", "2"]),
    ],
)
def test_conditions(where: str, keys: list[str]) -> None:
    assert kept(where) == keys


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("stile=noto", "no record has a field 'stile'; did you mean 'style'?"),
        ("zzz!=1", "no record has a field 'zzz'; there are core, key, label, sign, style, tags"),
        ("style", "'style' is not field=value"),
        ("!=a", "'!=a' is not field=value"),
        ("style!=noto|openmoji", "leaves no record; values met are style: noto, openmoji"),
        ("style=emoji", "leaves no record; values met are style: noto, openmoji"),
    ],
)
def test_mistakes(where: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        kept(where)
