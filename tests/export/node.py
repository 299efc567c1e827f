"""Scripts of the page, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import textok.export

PAGE = Path(textok.export.__file__).parent / "page"
NODE = shutil.which("node")


def run(code: str, given: Any, *, folder: Path) -> Any:
    """What ``answer(given)`` gives, a function of ``code``, which may import from ``folder``."""
    script = f"""
{code}
import {{ readFileSync }} from "node:fs";
process.stdout.write(JSON.stringify(answer(JSON.parse(readFileSync(0, "utf8")))));
"""
    for file in PAGE.glob("*.js"):
        (folder / file.name.replace(".js", ".mjs")).write_text(
            file.read_text().replace('.js"', '.mjs"')
        )
    (folder / "run.mjs").write_text(script)
    done = subprocess.run(
        [str(NODE), "run.mjs"],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
