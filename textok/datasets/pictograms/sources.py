"""Read drawings and names out of the package tarballs, member by member, nothing unpacked."""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMOJIBASE = "emojibase-data"
OPENMOJI = "openmoji"
LOBEHUB = "@lobehub/fluent-emoji-3d"
ICONIFY = {
    "@iconify-json/fluent-emoji-flat": "fluent-flat",
    "@iconify-json/noto": "noto",
    "@iconify-json/twemoji": "twemoji",
}
UNSEEN = frozenset({"fe0f", "e007f"})
COUNTRY_FLAG = re.compile(r"1f1[ef].-1f1[ef].$|1f3f4-e0067")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One image of a package: an SVG text or the bytes of a raster file.

    ``code`` holds its code points as in "1f469-200d-1f692" without FE0F, or is empty where the
    package tells none; ``name`` is the package's own name for it.
    """

    style: str
    code: str
    name: str
    data: bytes
    is_svg: bool

    @property
    def key(self) -> str:
        """Style and code, or style and name; fit for a file name."""
        return f"{self.style}-{self.code or re.sub(r'[^a-z0-9]+', '-', self.name.lower())}"


@dataclass(frozen=True, kw_only=True)
class Name:
    """What the image of one code point sequence is called and how it is filed."""

    label: str
    group: str
    subgroup: str
    keywords: tuple[str, ...]


def plain_code(code: str) -> str:
    """Write code points in lower case, unpadded, without variation selector and end-of-tag.

    >>> plain_code("0023-FE0F-20E3")
    '23-20e3'
    """
    points = (format(int(part, 16), "x") for part in code.replace("_", "-").split("-"))
    return "-".join(point for point in points if point not in UNSEEN)


def read_drawings(tarballs: Mapping[str, Path]) -> list[Drawing]:
    """Return every drawing of the packages, sorted by key; of two with one key, the first.

    Raises:
        ValueError: a tarball is damaged or lacks an expected file.
    """
    found = list(_read_openmoji(tarballs[OPENMOJI]))
    found += _read_lobehub(tarballs[LOBEHUB])
    for package, style in ICONIFY.items():
        found += _read_iconify(tarballs[package], style)
    unique: dict[str, Drawing] = {}
    for drawing in found:
        unique.setdefault(drawing.key, drawing)
    return [unique[key] for key in sorted(unique)]


def read_names(tarballs: Mapping[str, Path]) -> dict[str, Name]:
    """Return names by plain code: Emojibase's, and OpenMoji's for the images only it has."""
    with _members(tarballs[OPENMOJI]) as files:
        rows = json.loads(files["data/openmoji.json"]())
    names: dict[str, Name] = {}
    for row in rows:
        extra = row["group"].startswith("extras")
        tags = [tag.strip() for tag in f"{row['tags']},{row['openmoji_tags']}".split(",")]
        names[plain_code(row["hexcode"])] = Name(
            label=row["annotation"],
            group="other" if extra else row["group"],
            subgroup=row["subgroups"],
            keywords=tuple(dict.fromkeys(tag for tag in tags if tag)),
        )
    with _members(tarballs[EMOJIBASE]) as files:
        entries = json.loads(files["en/data.json"]())
        titles = json.loads(files["meta/groups.json"]())
    for entry in entries:
        for variant in (entry, *entry.get("skins", ())):
            names[plain_code(variant["hexcode"])] = Name(
                label=variant["label"],
                group=titles["groups"].get(str(entry.get("group")), "other"),
                subgroup=titles["subgroups"].get(str(entry.get("subgroup")), "other"),
                keywords=tuple(entry.get("tags", ())),
            )
    return names


def _read_openmoji(tarball: Path) -> Iterator[Drawing]:
    with _members(tarball) as files:
        labels = {
            plain_code(row["hexcode"]): row["annotation"]
            for row in json.loads(files["data/openmoji.json"]())
        }
        for path in sorted(path for path in files if path.startswith("color/svg/")):
            code = plain_code(Path(path).stem)
            if code in labels:
                yield Drawing(
                    style="openmoji", code=code, name=labels[code], data=files[path](), is_svg=True
                )


def _read_lobehub(tarball: Path) -> Iterator[Drawing]:
    with _members(tarball) as files:
        for path in sorted(path for path in files if path.endswith(".webp")):
            code = plain_code(Path(path).stem)
            # Fluent has no flags of countries: those in this package are flat drawings by others.
            if not COUNTRY_FLAG.match(code):
                yield Drawing(
                    style="fluent-3d", code=code, name=code, data=files[path](), is_svg=False
                )


def _read_iconify(tarball: Path, style: str) -> Iterator[Drawing]:
    """Yield the visible icons; `chars.json` maps code points to icon names, perhaps not all."""
    with _members(tarball) as files:
        icons = json.loads(files["icons.json"]())
        chars: dict[str, str] = json.loads(files["chars.json"]()) if "chars.json" in files else {}
    codes: dict[str, str] = {}
    for code, name in sorted(chars.items()):
        codes.setdefault(name, plain_code(code))
    for name, icon in sorted(icons["icons"].items()):
        if not icon.get("hidden", False):
            svg = _icon_svg(icons | icon)
            yield Drawing(
                style=style,
                code=codes.get(name, ""),
                name=name,
                data=svg.encode(),
                is_svg=True,
            )


def _icon_svg(icon: Mapping[str, Any]) -> str:
    """Wrap an icon body; a missing edge or size means Iconify's defaults, 0 and 16."""
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", 16), icon.get("height", 16)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">'
        f"{icon['body']}</svg>"
    )


@contextmanager
def _members(tarball: Path) -> Iterator[dict[str, _Reader]]:
    """Open a tarball as {path inside the package: function that returns the file's bytes}."""
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            files = [member for member in archive.getmembers() if member.isfile()]
            yield {m.name.partition("/")[2]: _Reader(archive, m) for m in files}
    except KeyError as error:
        raise ValueError(f"{tarball}: no {error} inside; fetch the pinned version") from error
    except (tarfile.TarError, zlib.error, json.JSONDecodeError, EOFError, OSError) as error:
        raise ValueError(f"{tarball}: damaged ({error}); delete it and fetch it again") from error


@dataclass(frozen=True)
class _Reader:
    archive: tarfile.TarFile
    member: tarfile.TarInfo

    def __call__(self) -> bytes:
        file = self.archive.extractfile(self.member)
        assert file is not None, "only plain files are listed"
        return file.read()
