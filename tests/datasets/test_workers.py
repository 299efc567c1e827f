from __future__ import annotations

import os
import signal
import time

from textok.datasets.workers import run_jobs


def act(job: str) -> str:
    if job == "hang":
        time.sleep(60)
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "raise":
        raise ValueError("no such shape")
    return job.upper()


def test_a_job_may_hang_die_or_raise_and_the_others_go_on() -> None:
    jobs = ["a", "hang", "b", "die", "raise", "c"]
    outcomes = {o.job: o for o in run_jobs(act, jobs, workers=2, seconds_each=3)}
    assert {job: outcome.result for job, outcome in outcomes.items()} == {
        "a": "A",
        "b": "B",
        "c": "C",
        "hang": None,
        "die": None,
        "raise": None,
    }
    assert outcomes["hang"].failure == "took too long"
    assert outcomes["die"].failure == "its process died"
    assert outcomes["raise"].failure == "ValueError: no such shape"
    assert list(run_jobs(act, [], workers=2, seconds_each=3)) == []
