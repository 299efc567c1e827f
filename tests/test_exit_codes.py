"""Exit codes: 2 for a user's mistake, 1 for textok's own, 130 for Ctrl-C at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder

STARTED = "import sys; from textok.cli.entry import main; print('up', flush=True); sys.exit(main())"
"""As the installed `textok` does; "up" is where the interpreter's own start is over."""
HEAR = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""Before a child starts: these tests may run in the background, where SIGINT is ignored."""
DELAYS = (0.1, 0.2, 0.4, 1.0, 2.0)


def interrupted_after(delay: float, words: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and stderr of a command that is interrupted ``delay`` seconds after its start."""
    command = [sys.executable, "-c", STARTED, *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "200"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, preexec_fn=HEAR,
    ) as run:  # fmt: skip
        assert run.stdout is not None and run.stdout.readline() == "up\n"
        time.sleep(delay)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGINT)  # as a terminal does, to loader processes too
        _, told = run.communicate(timeout=120)
    return run.returncode, told


@pytest.mark.parametrize(
    "words",
    [
        "generate apple --num-images 400 --batch-size 1",
        "train tokenizer tiny-64 --data.path images --run.steps 1000000 --run.batch_size 2",
        "data check images --every",
    ],
)
def test_ctrl_c_at_any_moment(words: str, tmp_path: Path) -> None:
    """The whole group gets it; a command that was done before ends as it does."""
    write_folder(
        tmp_path / "images",
        {f"{i}.png": encoded(i) for i in range(40)} | {f"{i}.txt": "grey" for i in range(40)},
    )
    codes = []
    for delay in DELAYS:
        code, told = interrupted_after(delay, words.split(), tmp_path)
        lines = [line for line in told.splitlines() if "interrupted" in line]
        assert "Traceback" not in told and "Exception ignored" not in told, (delay, told)
        assert len(lines) <= 1, told
        assert code == 130 or (code == 0 and delay > 0.5), (delay, code, told)
        codes.append(code)
    assert codes.count(130) >= 3


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        ("ValueError('what, where')", 2, "textok: error: what, where"),
        ("MemoryError('too much')", 2, "textok: error: out of memory: ask for less at once, as a "
                                       "smaller batch size (too much)"),
        ("AssertionError('a bug')", 1, "textok: this is a bug in textok, not a mistake of yours: "),
        ("KeyboardInterrupt()", 130, "textok: interrupted"),
    ],
)  # fmt: skip
def test_who_is_to_blame(error: str, code: int, last: str) -> None:
    program = (
        "import sys; from dataclasses import replace\n"
        "from textok.cli import entry, main\n"
        f"def run(settings): raise {error}\n"
        "main.COMMANDS['presets'] = replace(main.COMMANDS['presets'], run=run)\n"
        "sys.exit(entry.main())"
    )
    words = [sys.executable, "-c", program, "presets"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == code
    *before, final = run.stderr.splitlines()
    assert final.startswith(last)
    assert (code == 1) == ("Traceback (most recent call last):" in before)
    assert code == 1 or not before


def test_what_an_interruption_makes_a_library_raise_is_an_interruption() -> None:
    program = (
        "import os, signal, sys; from dataclasses import replace\n"
        "from textok.cli import entry, main\n"
        "def run(settings):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except BaseException:\n"
        "        raise RuntimeError('DataLoader worker exited')\n"
        "main.COMMANDS['presets'] = replace(main.COMMANDS['presets'], run=run)\n"
        "sys.exit(entry.main())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "presets"], capture_output=True, text=True, preexec_fn=HEAR
    )
    assert (run.returncode, run.stderr) == (130, "textok: interrupted\n")


def test_an_interruption_of_the_interpreters_own_end_changes_nothing() -> None:
    program = (
        "import os, signal, sys\n"
        "from textok.cli import entry\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):\n"
        "        kill(pid, number)\n"
        "last = Last()\n"
        "sys.exit(entry.main())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "presets"], capture_output=True, text=True, preexec_fn=HEAR
    )
    assert (run.returncode, run.stderr) == (0, "")
