"""The records of separated values as programs and people write them.

Where they start, what separates their fields, which quotes enclose one, and whether the first of
them is a header.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from textok.data.column_names import FILE_NAME, FILE_NAMES, plain_name
from textok.data.folder import is_image
from textok.data.formats import IMAGE_SUFFIXES

DELIMITERS = (",", ";", "\t", "|")
IN_PROSE = (",", ";")
"""Delimiters that captions may have in them."""
NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
SAMPLE = 100
"""Lines that are looked at to see how a table is written."""
NUMBER = re.compile(r"#\d+$")
"""Of a caption, after the name of its image: ``a.jpg#0``."""
_TOLD = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
"""Excel's own line before the header."""
_IMAGE_NAME = re.compile(
    rf"[^,;|\t\n]*({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})\"?\s*[,;|\t#]", re.IGNORECASE
)
_NUMBERED = re.compile(r"\S*\d\S*")
"""A key that no word of a caption looks like."""
_QUOTED = r'"[^"]*(?:""[^"]*)*'
"""A field up to its closing quote."""


def start_of(table: Path, lines: Sequence[str], delimiter: str) -> tuple[int, str]:
    """How many lines come before the header or the first row, and the delimiter.

    Those are ``sep=;``, empty lines, and comments after ``#``; but a line with ``#`` that has as
    many fields as the next one is the header, unless that one is.
    """
    told = _TOLD.fullmatch(lines[0]) if lines else None
    start = 1 if told else 0
    plain = (n for n, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    number = next((n for n in plain if n >= start), start)
    head = "".join(lines[number : number + 1])
    named = NAMED_DELIMITERS.get(delimiter, delimiter)
    between = named or (told[1] if told else delimiter_of(table, head))
    if number > start and lines[number - 1].startswith("#"):
        names = _fields(head, between)
        alike = len(_fields(lines[number - 1], between)) == len(names)
        number -= alike and not _has_usual(names)
    return number, between


def delimiter_of(table: Path, head: str) -> str:
    """A tab in a ``.tsv``, else that of ``DELIMITERS`` by which the first line makes most sense.

    That is one by which it starts with an image, or has a usual column of images; else the most
    frequent one.
    """
    if table.suffix.lower() in (".tsv", ".tab") and "\t" in head:
        return "\t"

    def sense(between: str) -> tuple[bool, bool, int]:
        fields = _fields(head, between)
        return _is_picture(fields), _has_usual(fields), len(fields)

    return max(DELIMITERS, key=sense)


def headless_columns(lines: Sequence[str], between: str) -> tuple[str, ...]:
    """The columns of a table without a header: the image, others without a name, the caption.

    Empty where the first of ``lines`` is a header, or the last fields are no words: a class, a box.
    Surplus fields are part of the caption. So of delimiters that are in prose, the row with the
    fewest fields tells; and what follows a delimiter and a blank is the same field still, if there
    is no such blank after the image.
    """
    sample = (_standard(line, between, inside=False) for line in lines)
    rows = [row for values in csv.reader(sample, delimiter=between) if (row := trimmed(values))]
    if not rows or len(rows[0]) < 2 or not _is_picture(rows[0]):
        return ()
    rows = [row for row in rows if len(row) > 1]
    if between in IN_PROSE:
        count = min(map(_columns, rows))
    else:
        count = Counter(map(len, rows)).most_common(1)[0][0]
    most = max(map(len, rows))
    while count < most and _mostly_numbers([row[count - 1] for row in rows if len(row) >= count]):
        count += 1  # a caption's number, before it
    last = [row[count - 1] for row in rows if len(row) >= count]
    if not any(_has_letters(text) and not is_image(text.strip()) for text in last):
        return ()
    return FILE_NAME, *("" for _ in range(count - 2)), "caption"


def records(
    table: Path, lines: Iterable[str], between: str, *, skipped: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """The records, each with the number of its last line; ``skipped`` lines came before.

    Raises:
        ValueError: a quote that is not closed, and so takes the rows after it into its field.
    """
    feed = _Lines(lines, between)
    reader = csv.reader(feed, delimiter=between)
    columns = 0
    for values in reader:
        columns = columns or len(values)
        several = len(feed.taken) > 1
        if feed.ended or (several and _swallows(values, feed.taken, between, columns)):
            first = skipped + reader.line_num - len(feed.taken) + 1
            what = "takes the next rows into its field" if several else "is not closed"
            raise ValueError(
                f'{table} line {first}: a quote (") opens here and {what}; double it, or remove it'
            )
        if values:
            yield skipped + reader.line_num, values
        feed.taken.clear()


def trimmed(values: Sequence[str]) -> list[str]:
    """Without the empty ones at the end."""
    kept = list(values)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept


class _Lines:
    """Lines on their way to a csv.reader, which asks for more than one where a quote is open."""

    def __init__(self, lines: Iterable[str], between: str) -> None:
        self._lines = iter(lines)
        self._between = between
        self.taken: list[str] = []
        """Of the record in the making."""
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        line = _standard(line, self._between, inside=bool(self.taken))
        self.taken.append(line)
        return line


def _standard(line: str, between: str, *, inside: bool) -> str:
    r"""The line with a quote in a field as ``""``, and none but quotes around one.

    Others write ``\"``, or a blank before the first quote. What could not be meant so is left as it
    is. ``inside`` a field, the line starts in quotes.
    """
    if '\\"' in line and not _is_standard(line, between, inside):
        doubled = line.replace('\\"', '""')
        line = doubled if _is_standard(doubled, between, inside) else line
    if f"{between} " in line and '"' in line and not inside:
        line = _spaced(between).sub(lambda found: found[1] or found[2] + found[3], line)
    return line


def _is_standard(line: str, between: str, inside: bool) -> bool:
    return _patterns(between)[inside].fullmatch(line) is not None


@lru_cache(maxsize=16)
def _patterns(between: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of a line whose fields are in quotes from end to end, or not at all; the last may be open."""
    blanks = "" if between == " " else " *"
    field = rf'(?:{blanks}{_QUOTED}"{blanks}|(?!{blanks}")[^{re.escape(between)}]*)'
    row = rf"(?:{field}{re.escape(between)})*(?:{field}|{blanks}{_QUOTED})[\r\n]*"
    rest = _QUOTED.removeprefix('"')
    return re.compile(row), re.compile(
        rf'{rest}(?:"{blanks}(?:{re.escape(between)}{row}|[\r\n]*))?'
    )


@lru_cache(maxsize=16)
def _spaced(between: str) -> re.Pattern[str]:
    """A field in quotes, or one with blanks before them."""
    mark = re.escape(between)
    end = rf"(?={mark}|[\r\n]*\Z)"
    return re.compile(rf'((?:^|{mark}){_QUOTED}"{end})|({mark}) +({_QUOTED}") *{end}')


def _swallows(values: Sequence[str], lines: Sequence[str], between: str, columns: int) -> bool:
    """Whether a field of several lines has rows in it, or does not end where its quote closes."""
    for value in (value for value in values if "\n" in value or "\r" in value):
        others = value.splitlines()[1:]
        if not _is_closed(value, "".join(lines), between) or any(map(_IMAGE_NAME.match, others)):
            return True
        if _NUMBERED.fullmatch(values[0].strip()):
            keys = {_shape(line.split(between)[0]) for line in others}
            rows = all(line.count(between) >= columns - 1 for line in others)
            if rows and keys == {_shape(values[0])}:
                return True
    return False


def _is_closed(value: str, text: str, between: str) -> bool:
    """Whether a field in quotes reaches up to a delimiter or the end of a line of the ``text``."""
    opened = '"' + value.rstrip(" ").replace('"', '""')
    rests = (rest.lstrip(" ") for rest in text.split(opened)[1:])
    after = [rest[1:].lstrip(" ") for rest in rests if rest.startswith('"')]
    return any(not rest or rest.startswith((between, "\r", "\n")) for rest in after)


def _shape(key: str) -> str:
    """What keys of one kind have in common: ``n01_cat`` and ``n02_dog``."""
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", key.strip()))


def _fields(line: str, between: str) -> list[str]:
    return next(csv.reader([_standard(line, between, inside=False)], delimiter=between), [])


def _has_usual(names: Sequence[str]) -> bool:
    return any(plain_name(name) in FILE_NAMES for name in names)


def _is_picture(row: Sequence[str]) -> bool:
    """Whether a row starts with an image, as no header does."""
    return bool(row) and is_image(NUMBER.sub("", row[0].strip()))


def _columns(row: Sequence[str]) -> int:
    """How many fields a row has if a blank after a delimiter is one of prose."""
    spaced = (n for n, text in enumerate(row) if n > 1 and text.startswith(" "))
    return len(row) if row[1].startswith(" ") else next(spaced, len(row))


def _mostly_numbers(texts: Sequence[str]) -> bool:
    return sum(not _has_letters(text) for text in texts) > len(texts) / 2


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)
