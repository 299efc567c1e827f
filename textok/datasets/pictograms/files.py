"""The texts beside the images: metadata and licences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from textok.datasets.pictograms.packages import PACKAGES, Package
from textok.datasets.pictograms.pictures import Picture
from textok.runtime.files import write_text

LICENCE_LINKS = {
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "MIT": "https://opensource.org/license/mit",
}
MIT_NOTICE = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def write_metadata(folder: Path, pictures: Iterable[Picture]) -> None:
    """Write ``folder``/metadata.jsonl, one line an image; the class is called "label"."""
    lines = []
    for picture in pictures:
        fields = asdict(picture)
        del fields["split"]  # the folder tells
        reader = {"file_name": f"{picture.key}.webp", "captions": picture.captions}
        row = reader | {"label": picture.subgroup} | fields
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "metadata.jsonl", "".join(lines))


def licences_text(packages: Sequence[Package] = PACKAGES) -> str:
    """Return the attribution of every package, and the notice that MIT asks for, as Markdown."""
    rows = [
        f"| `{p.name}` {p.version} | {p.style or 'names and keywords'} | {p.credit}"
        f" | [{p.licence}]({LICENCE_LINKS[p.licence]}) |\n"
        for p in packages
    ]
    return (
        "# Licences of the pictures\n\n"
        "Every line of a metadata.jsonl names the licence of its picture. The pictures were"
        " drawn on white, scaled and stored as WebP; nothing else was changed.\n\n"
        "| npm package | style | work and copyright holder | licence |\n|---|---|---|---|\n"
        f"{''.join(rows)}\n## Notice of the works under the MIT licence\n\n{MIT_NOTICE}"
    )
