"""Run jobs in processes that may hang or die without taking the run down."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[JobT, ResultT]):
    """A job and its result, or None and the reason why there is none."""

    job: JobT
    result: ResultT | None
    failure: str = ""


def run_jobs(
    function: Callable[[JobT], ResultT],
    jobs: Iterable[JobT],
    *,
    workers: int,
    seconds_each: float,
) -> Iterator[Outcome[JobT, ResultT]]:
    """Yield the outcome of every job as it comes, in no fixed order.

    A job that raises, takes longer than ``seconds_each`` or whose process dies has an outcome with
    a failure, and a new process takes over. ``function`` must be importable by name.
    """
    queue = iter(jobs)
    idle: list[_Worker[JobT, ResultT]] = []
    busy: list[_Worker[JobT, ResultT]] = []
    try:
        while True:
            while len(busy) < workers and (job := next(queue, None)) is not None:
                worker = idle.pop() if idle else _Worker(function)
                busy.append(worker)
                worker.hand(job, deadline=time.monotonic() + seconds_each)
            if not busy:
                return
            patience = min(worker.deadline for worker in busy) - time.monotonic()
            answered = wait([worker.pipe for worker in busy], timeout=max(0.0, patience))
            now = time.monotonic()
            for worker in [w for w in busy if w.pipe in answered or w.deadline <= now]:
                busy.remove(worker)
                outcome = worker.collect(answered=worker.pipe in answered)
                if worker.alive:
                    idle.append(worker)
                yield outcome
    finally:
        for worker in busy + idle:
            worker.stop()


class _Worker(Generic[JobT, ResultT]):
    """One process and our end of the pipe to it."""

    def __init__(self, function: Callable[[JobT], ResultT]) -> None:
        # Not fork: the parent may hold threads (the progress bar's, a deep-learning library's).
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with _without_interrupts():
            self.process.start()
        theirs.close()
        with suppress(EOFError):  # a job's time begins when its process is up
            if self.pipe.poll(START_SECONDS):
                self.pipe.recv()
        self.alive = True
        self.deadline = 0.0

    def hand(self, job: JobT, *, deadline: float) -> None:
        self.job = job
        self.deadline = deadline
        with suppress(OSError):  # collect() reports a dead process
            self.pipe.send(job)

    def collect(self, *, answered: bool) -> Outcome[JobT, ResultT]:
        failure = "took too long"
        if answered:
            try:
                result, failure = self.pipe.recv()
                return Outcome(job=self.job, result=result, failure=failure)
            except (EOFError, OSError):
                failure = "its process died"
        self.stop()
        return Outcome(job=self.job, result=None, failure=failure)

    def stop(self) -> None:
        self.alive = False
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; a process started meanwhile, which inherits this, never hears of it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, function: Callable[[JobT], ResultT]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    pipe.send("up")
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[ResultT | None, str] = (function(job), "")
        except Exception as error:
            answer = (None, f"{type(error).__name__}: {error}")
        with suppress(OSError):  # the parent was killed: the next turn ends this process
            pipe.send(answer)
