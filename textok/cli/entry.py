"""Where `textok` starts: it imports nothing slow, so that Ctrl-C is heard from the first moment."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
BUG = (
    "textok: this is a bug in textok, not a mistake of yours: please report it with the lines "
    "above, the command, and what `textok doctor` prints"
)
IMPORTING = "<frozen importlib._bootstrap>"


class Interrupts:
    """Ctrl-C as KeyboardInterrupt, but for one that comes while modules are imported.

    There it would be lost or become another error: extension modules turn it into ImportError, and
    the locks of the import system print and drop it. So the process ends at once, as it does at a
    second Ctrl-C.
    """

    def __init__(self) -> None:
        self.came = False
        self.at_once = False
        """Whether nothing is left to be put in order."""
        self._process = os.getpid()

    def note(self, signum: int, frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        if self.came or self.at_once or _is_importing(frame):
            # Loader processes, which inherit this handler, say nothing.
            if not self.came and os.getpid() == self._process and _is_first():
                os.write(2, b"textok: interrupted\n")
            os._exit(INTERRUPTED)
        self.came = True
        raise KeyboardInterrupt


def main() -> int:
    """Run the command line of this process; its exit code.

    0 done, 2 a user's mistake in one line on stderr, 1 a mistake of textok's own with its
    traceback, 130 interrupted, 143 terminated, 141 where nobody reads the output any more.
    """
    interrupts = Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not under `nohup ... &`
        signal.signal(signal.SIGINT, interrupts.note)
        # Registered first, so called last: after it the interpreter would give SIGINT back its
        # default, and a command that is done would end as one that was killed.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        from textok.cli.main import main as run

        return run(interrupted=lambda: interrupts.came)
    except KeyboardInterrupt:
        print("textok: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        import traceback

        traceback.print_exc()
        print(BUG, file=sys.stderr)
        return 1
    finally:
        interrupts.at_once = True


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False
