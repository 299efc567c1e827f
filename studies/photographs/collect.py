"""Results of `studies.photographs.offline` back as runs, with which the study goes on.

python -m studies.photographs.collect RESULTS --runs runs/photographs-pieces
python -m studies.photographs --budget pieces --runs runs/photographs-pieces
"""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from studies.command import refuse, run_command
from studies.photographs.results import collect_results


def main(results: Positional[Path], *, runs: Path = Path("runs/photographs-pieces")) -> None:
    """Put the results where the study looks for its runs.

    Args:
        results: Folder that came back.
        runs: Folder of the runs.
    """
    try:
        names = collect_results(results, runs)
    except ValueError as error:
        refuse(str(error))
    print(f"{runs}: reports of all, weights of {', '.join(names) or 'none'}")


if __name__ == "__main__":
    run_command(main, "studies.photographs.collect")
