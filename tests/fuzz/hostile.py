"""Values, texts and files that nobody means, and those that a flipped bit or a cut makes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

HUGE = st.sampled_from([-1, 0, 2**31, 2**63, 10**12, -(10**30), 10**400])
NUMBERS = st.one_of(HUGE, st.integers(), st.floats(), st.sampled_from([1e300, -1e300, 1e-320]))
WORDS = st.sampled_from(
    ["", " ", "\0", "a\0b", "\n", "a\nb", "nan", "inf", "-inf", "1e300", "1e999", "9" * 5000,
     "0x10", "1_000", "١٢", "null", "~", "None", "yes", "[a, b]", "{a: b}", "../..", "/dev/zero",
     "/", "~/x", "http://x", "\ud800", "é" * 300, "x" * 12_000, "auto", "-1", "--", "a=b", "%s"]
)  # fmt: skip
TEXTS = WORDS | st.text(max_size=20)


def nested(depth: int, *, lists: bool) -> Any:
    """A value in so many lists or mappings."""
    value: Any = "x"
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


DEEP = st.builds(nested, st.sampled_from([3, 60, 900]), lists=st.booleans())
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JUNK = st.one_of(
    SCALARS,
    DEEP,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
)
"""Whatever JSON and YAML can say."""


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` after some accidents: bits flipped, cut, overwritten, swollen."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "cut", "put", "add", "drop"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[place:]
            case "put":
                part = draw(st.binary(min_size=1, max_size=16) | st.sampled_from(PUT))
                data[place : place + len(part)] = part
            case "add":
                data[place:place] = draw(st.binary(min_size=1, max_size=16) | st.sampled_from(PUT))
            case _:
                del data[place : place + draw(st.integers(1, 64))]
    return bytes(data)


PUT = [b"\0" * 64, b"\xff" * 8, b"\xff\xfe", b"\r\n", b"9" * 5000, b"[" * 2000, b"NaN", b'"']


@st.composite
def altered(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value with one or two of its parts lost, renamed or replaced."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(value))
        if not places:
            return draw(JUNK)
        holder, key = draw(st.sampled_from(places))
        if holder is None:
            return draw(JUNK)
        match draw(st.sampled_from(["replace", "replace", "drop", "add"])):
            case "drop":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(TEXTS)] = draw(JUNK)
            case "add":
                holder.append(draw(JUNK))
            case _:
                holder[key] = draw(JUNK)
    return value


def _places(value: Any, depth: int = 0) -> Any:
    """Every part of a JSON value, as the container and its key; None for the value itself."""
    if depth == 0:
        yield None, None
    if depth > 20:
        return
    keys: Any = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key], depth + 1)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def json_file(whole: Any) -> st.SearchStrategy[bytes]:
    """A file of the JSON value ``whole``, altered or damaged."""
    return st.one_of(altered(whole).map(as_json), damaged(as_json(whole)))


def lines_file(whole: list[Any]) -> st.SearchStrategy[bytes]:
    """The same with a value a line."""
    lines = st.lists(
        st.one_of(*map(st.just, whole), *map(altered, whole)), min_size=1, max_size=4
    ).map(lambda rows: b"".join(as_json(row) + b"\n" for row in rows))
    return lines | damaged(b"".join(as_json(row) + b"\n" for row in whole))


@st.composite
def safetensors_file(draw: st.DrawFn, whole: bytes) -> bytes:
    """A safetensors file with an altered header, a wrong length of it, or damaged anywhere."""
    size = int.from_bytes(whole[:8], "little")
    header, numbers = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    match draw(st.sampled_from(["header", "header", "length", "bytes", "head"])):
        case "length":
            length = draw(st.sampled_from([0, 1, size - 1, size + 1, 2**32, 2**63 - 1, 2**64 - 1]))
            return length.to_bytes(8, "little") + whole[8:]
        case "bytes":
            return draw(damaged(whole))
        case "head":  # where the damage tells most
            return draw(damaged(whole[: 8 + size])) + numbers
    if draw(st.booleans()):
        header = draw(altered(header))
    else:
        name = draw(st.sampled_from(sorted(header)))
        if name != "__metadata__":
            header[name] |= draw(ENTRIES)
    text = as_json(header)
    return len(text).to_bytes(8, "little") + text + numbers


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "Q4", ""]),
        "shape": st.lists(st.sampled_from([0, 1, 2, 3, 2**32, 2**63, -1, 10**30]), max_size=5),
        "data_offsets": st.lists(st.sampled_from([0, 4, 8, 2**40, 2**64, -4]), max_size=3),
    },
)
"""What a header says of a tensor."""
