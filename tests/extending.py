"""Runs the worked examples of docs/extend.md in a copy of the package. Not a test module.

Reads a JSON object from stdin: a name and the steps of each section, a step being ``["py", code]``
or ``["command", words]``. Writes one of names and tracebacks, empty where all went well.
"""

from __future__ import annotations

import json
import sys
import traceback


def run(steps: list[list]) -> str:
    """The traceback of the first step that fails."""
    from textok.cli.main import main

    try:
        for kind, what in steps:
            if kind == "py":
                exec(compile(what, "docs/extend.md", "exec"), {})
            else:
                assert main(what) == 0, what
    except BaseException:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    sections = json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr
    json.dump({name: run(steps) for name, steps in sections.items()}, out)
