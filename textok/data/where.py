"""The ``where`` setting: which records to keep, by their metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from textok.data.records import Entry, Record
from textok.data.report import ReadReport

SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class FieldFilter:
    """One ``field=value`` or ``field!=value``, and the values met while reading."""

    name: str
    wanted: frozenset[str]
    equal: bool
    met: set[str] = field(default_factory=set)

    def holds(self, values: list[str]) -> bool:
        self.met.update(values if len(self.met) < SHOWN else ())
        return self.wanted.isdisjoint(values) != self.equal


def parse_where(where: str) -> list[FieldFilter]:
    """Read ``style!=openmoji,class=goldfish|lemon``: all conditions must hold, ``|`` means or.

    Raises:
        ValueError: a part is not ``field=value`` or ``field!=value``.
    """
    conditions = []
    for part in filter(None, (part.strip() for part in where.split(","))):
        name, sign, value = part.partition("=")
        if not sign or not name.rstrip("! "):
            raise ValueError(f"data.where: '{part}' is not field=value or field!=value")
        value = value.strip().casefold()
        wanted = frozenset((value, *(one.strip() for one in value.split("|"))))  # or "|" is its own
        name, equal = name.removesuffix("!").strip(), not name.endswith("!")
        conditions.append(FieldFilter(name=name, wanted=wanted, equal=equal))
    return conditions


def keep_records(entries: Iterable[Entry], where: str, report: ReadReport) -> Iterator[Record]:
    """The records whose metadata meet ``where``; a missing value counts as empty text.

    Beside the metadata, ``key`` and ``label`` can be matched. Case does not matter, and a list
    matches where one of its members does.

    Raises:
        ValueError: a field that no record has, or conditions that leave no record.
    """
    conditions = parse_where(where)
    known = {"key", "label"}
    kept = 0
    for record, fields in entries:
        everything = {**fields, "key": record.key, "label": record.label}
        known.update(everything if conditions else ())
        verdicts = [c.holds(_texts(everything.get(c.name))) for c in conditions]
        if all(verdicts):
            kept += 1
            yield record
        else:
            report.filtered += 1
    for condition in conditions:
        if condition.name not in known and kept + report.filtered:
            close = get_close_matches(condition.name, known, n=1)
            hint = (
                f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(known))}"
            )
            raise ValueError(f"data.where: no record has a field '{condition.name}'; {hint}")
    if report.filtered and not kept:
        met = "; ".join(f"{c.name}: {', '.join(sorted(c.met)[:SHOWN])}" for c in conditions)
        raise ValueError(f"data.where '{where}' leaves no record; values met are {met}")


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return ["" if v is None else str(v).casefold() for v in several]
