"""``python -m notebooks.run [NAME...]``: execute the notebooks and keep what they show.

Each is executed in a folder of its own and written back with its outputs; the picture of its cell
tagged ``picture`` goes to docs/notebooks.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent
NAMES = (
    "reconstruct-and-generate",
    "train-in-five-minutes",
    "fine-tune",
    "compare-tokenizers",
    "few-steps",
)
MINUTES = 30
"""After which a cell is given up."""


def read(name: str) -> NotebookNode:
    """A notebook as it lies here."""
    return nbformat.read(HERE / f"{name}.ipynb", as_version=4)


def execute(notebook: NotebookNode, folder: Path, variables: Mapping[str, str]) -> None:
    """Run every cell in ``folder``, with ``variables`` added to the environment.

    The kernel is the Python that runs this. Raises nbclient's CellExecutionError where a cell does.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=60 * MINUTES,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    notebook.metadata["executed"] = fingerprint(notebook)
    notebook.metadata["language_info"] = {"name": "python"}  # not the version of one machine
    for cell in code_cells(notebook):
        _tidy(cell)


def fingerprint(notebook: NotebookNode) -> str:
    """SHA-256 of all code."""
    code = "\0".join(cell.source for cell in code_cells(notebook))
    return hashlib.sha256(code.encode()).hexdigest()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def picture(notebook: NotebookNode) -> bytes:
    """The PNG of the cell tagged ``picture``."""
    (cell,) = (cell for cell in code_cells(notebook) if "picture" in cell.metadata.get("tags", []))
    return base64.b64decode(cell.outputs[-1].data["image/png"])


def _tidy(cell: NotebookNode) -> None:
    """Keep one small PNG of each picture, and the last word alone of a cell tagged ``progress``."""
    cell.outputs = [output for output in cell.outputs if _says(output)]
    if "progress" in cell.metadata.get("tags", []):
        cell.outputs = cell.outputs[-1:]
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            output.data = NotebookNode({"image/png": _small(output.data["image/png"])})


def _says(output: NotebookNode) -> bool:
    """Whether there is anything to see: a bar that has gone leaves an empty line.

    A kernel makes rich take stderr for a terminal, so bars come with escape sequences.
    """
    if output.output_type == "stream" and output.name == "stderr" and "\x1b[" in output.text:
        return False
    return output.output_type != "display_data" or bool(output.data.get("text/plain", "-").strip())


def _small(png: str) -> str:
    """The same picture in 96 colours."""
    content = io.BytesIO()
    full = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    full.quantize(96, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def _replace(path: Path, content: bytes) -> None:
    writing = path.with_name(f".{path.name}.tmp")
    writing.write_bytes(content)
    os.replace(writing, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the notebooks and keep their outputs.")
    parser.add_argument("names", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}")
    pictures = ROOT / "docs" / "notebooks"
    pictures.mkdir(exist_ok=True)
    for name in parser.parse_args().names:
        notebook = read(name)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder), {})
        _replace(HERE / f"{name}.ipynb", (nbformat.writes(notebook) + "\n").encode())
        _replace(pictures / f"{name}.png", picture(notebook))
        print(f"notebooks/{name}.ipynb")


if __name__ == "__main__":
    main()
