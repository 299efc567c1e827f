"""Six small packages with the layout of the real ones."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from textok.datasets.pictograms.packages import PACKAGES
from textok.datasets.pictograms.splits import split_of

TARBALLS = {package.name: package.tarball for package in PACKAGES}


def grid_body(seed: str, side: int = 32) -> str:
    """A 4 x 4 grid of colours, different for every seed."""
    dice = random.Random(seed)
    cell = side // 4
    return "".join(
        f'<rect x="{x * cell}" y="{y * cell}" width="{cell}" height="{cell}"'
        f' fill="#{dice.randrange(1 << 24):06x}"/>'
        for x in range(4)
        for y in range(4)
    )


def svg(body: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>'.encode()


def pack(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def icons(bodies: Mapping[str, str], chars: Mapping[str, str]) -> dict[str, bytes]:
    entries: dict[str, object] = {name: {"body": body} for name, body in bodies.items()}
    entries["old-name"] = {"body": grid_body("old"), "hidden": True}
    table = {"prefix": "x", "width": 32, "height": 32, "icons": entries}
    return {"icons.json": json.dumps(table).encode(), "chars.json": json.dumps(chars).encode()}


def webp(seed: str) -> bytes:
    dice = random.Random(seed)
    small = Image.new("RGBA", (4, 4))
    small.putdata([(*dice.randbytes(3), 255) for _ in range(16)])
    memory = io.BytesIO()
    small.resize((256, 256), Image.Resampling.NEAREST).save(memory, "WEBP", lossless=True)
    return memory.getvalue()


def plain_codes() -> dict[str, str]:
    """Labels by code: 12 concepts that belong to train, 3 to val, 3 to test."""
    wanted = {"train": 12, "val": 3, "test": 3}
    codes = {}
    for number in range(0x1F400, 0x1F700):
        code = format(number, "x")
        if wanted[split_of(code)] > 0:
            wanted[split_of(code)] -= 1
            codes[code] = f"thing {number}"
    return codes


@pytest.fixture(scope="session")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every plain concept in all five styles, and one of each special case.

    hands with a skin tone, twin flags (drawn alike), a name without code points, a private code
    with a known name, a padded code, a drawing that is no SVG, a flag among the 3-D pictures.
    """
    folder = tmp_path_factory.mktemp("tarballs")
    things = plain_codes()
    labels = things | {
        "1f44b": "waving hand",
        "1f44b-1f3ff": "waving hand: dark skin tone",
        "1f1f3-1f1f4": "flag: Norway",
        "1f1e7-1f1fb": "flag: Bouvet Island",
        "23-20e3": "keycap: #",
    }
    rows = [
        {
            "hexcode": code.upper(),
            "annotation": label,
            "group": "objects",
            "subgroups": "tool",
            "tags": "made, up",
            "openmoji_tags": "",
        }
        for code, label in labels.items()
    ]
    rows[-1]["hexcode"] = "0023-FE0F-20E3"
    extra = {"hexcode": "E001", "annotation": "Waving hand", "group": "extras-openmoji"}
    rows.append(extra | {"subgroups": "brand", "tags": "", "openmoji_tags": "wave"})
    drawn = {row["hexcode"]: grid_body(f"openmoji {row['hexcode']}") for row in rows}
    drawn["1F1F3-1F1F4"] = drawn["1F1E7-1F1FB"]
    pack(
        folder / TARBALLS["openmoji"],
        {"data/openmoji.json": json.dumps(rows).encode()}
        | {f"color/svg/{code}.svg": svg(body) for code, body in drawn.items()},
    )
    entries = [
        {"hexcode": code.upper(), "label": label, "group": 7, "subgroup": 78, "tags": ["gadget"]}
        for code, label in labels.items()
        if code != "1f44b-1f3ff"
    ]
    skin = {"hexcode": "1F44B-1F3FF", "label": labels["1f44b-1f3ff"]}
    next(entry for entry in entries if entry["hexcode"] == "1F44B")["skins"] = [skin]
    groups = {"groups": {"7": "objects"}, "subgroups": {"78": "tool"}}
    pack(
        folder / TARBALLS["emojibase-data"],
        {"en/data.json": json.dumps(entries).encode()}
        | {"meta/groups.json": json.dumps(groups).encode()},
    )
    for style in ("noto", "twemoji", "fluent-emoji-flat"):
        names = {f"n-{code}": code for code in things}
        bodies = {name: grid_body(f"{style} {name}") for name in names}
        if style == "noto":
            bodies["waving-hand"] = grid_body("noto hand")
        if style == "twemoji":
            names["broken"] = "1f44b"
            bodies["broken"] = "<rect"
        chars = {code: name for name, code in names.items()}
        pack(folder / TARBALLS[f"@iconify-json/{style}"], icons(bodies, chars))
    pack(
        folder / TARBALLS["@lobehub/fluent-emoji-3d"],
        {f"assets/{code}.webp": webp(code) for code in [*things, "1f1f3-1f1f4"]},
    )
    return folder
