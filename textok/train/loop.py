"""The training loop: steps, log, sheets, checkpoints, and a clean stop."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from textok.config import RunConfig
from textok.runtime.checkpoint import load_newest, save_checkpoint
from textok.runtime.files import WRITING, named_errors, replace_folder
from textok.runtime.run_folder import RunFolder
from textok.runtime.sharding import whole_state
from textok.runtime.stop import StopRequest
from textok.runtime.wait import with_timeout
from textok.train.distributed import Distributed
from textok.train.guard import HostCopy
from textok.train.published_state import TRAINING
from textok.train.run_logger import RunLogger
from textok.types import upload

Micro = TypeVar("Micro")
"""What a micro-batch is made of."""
Given = TypeVar("Given", contravariant=True)


class Task(Protocol[Given]):
    """What the loop trains.

    All processes call each of these at the same time, since each may have a part of the weights.
    Sheet, measurements and state are those of the main process.
    """

    @property
    def step(self) -> Callable[[Sequence[Given], int], dict[str, Tensor]]:
        """Update the weights once, by micro-batches; returns scalars, ``loss`` among them."""

    def sheet(self) -> Image.Image:
        """Images that show the present quality."""

    def measure(self) -> dict[str, float]:
        """Scalars that take longer to measure: each ``validate_every`` steps, or with a sheet."""

    def save(self, folder: Path) -> None:
        """Write the trained model, in the main process."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def training_state(self) -> dict[str, Any]:
        """What another training goes on from, beside what ``save`` writes."""

    def start_from(self, state: dict[str, Any]) -> object:
        """Go on from the ``training_state`` of another; returns what fitted, as text."""


def train(
    task: Task[Micro],
    batches_from: Callable[[int], Iterator[Sequence[Micro]]],
    *,
    config: RunConfig,
    folder: RunFolder,
    distributed: Distributed,
) -> None:
    """Train ``task`` from its newest checkpoint, if any, to ``config.steps`` steps.

    ``batches_from(step)`` gives this process's micro-batches of that step and all after it.
    Ctrl-C and SIGTERM save and raise SystemExit with 128 + the signal's number.
    """
    first = resume(task, folder, distributed)
    if first >= config.steps:
        publish(task, first, folder, distributed, config)
        return
    logger = RunLogger(folder, config, first, enabled=distributed.is_main)
    agreement = Agreement(distributed)
    with StopRequest() as stop, logger:
        saved_at = time.monotonic()
        batches = with_timeout(
            batches_from(first),
            minutes=config.wait_minutes,
            what="run.wait_minutes: the next batch",
        )
        for done, micro_batches in enumerate(batches, start=first + 1):
            logs = task.step(micro_batches, done - 1)
            last = done == config.steps
            show = done % config.sheet_every == 0 or last
            measure = done % (config.validate_every or config.sheet_every) == 0 or last
            if done % config.log_every == 0 or show or measure:
                values = mean_over_processes(logs, distributed)
                with logger.paused():
                    measured = task.measure() if measure else {}
                logger.write(done, {**values, **measured})
            logger.advance()
            if show:
                logger.show(done, task.sheet())
            overdue = 0 < 60 * config.save_minutes < time.monotonic() - saved_at
            due, signum = agreement(overdue, stop.signum)
            if done % config.save_every == 0 or last or due or signum:
                save(task, done, folder, distributed, config)
                saved_at = time.monotonic()
            if last:
                return
            if signum:
                logger.say(f"stopped and saved at step {done}: run the same command to go on")
                raise SystemExit(128 + signum)


def resume(task: Task[Any], folder: RunFolder, distributed: Distributed) -> int:
    """Load the newest good checkpoint; returns the number of steps done.

    Raises ValueError where the processes do not see the same one.
    """
    main = distributed.is_main
    found = load_newest(folder.checkpoints, say=print if main else lambda message: None)
    step = 0
    if found is not None:
        step, state = found
        task.load_state_dict(state["task"])
        rng = state["rng"]
        if len(rng) == distributed.world_size:
            restore_rng(rng[distributed.rank])
    steps = distributed.gather_objects(step)
    if len(set(steps)) > 1:
        raise ValueError(
            f"the processes see checkpoints of steps {steps}: run.out ({folder.root}) must be a "
            f"folder that all of them share"
        )
    return step


def save(
    task: Task[Any], done: int, folder: RunFolder, distributed: Distributed, run: RunConfig
) -> None:
    """Write a checkpoint after ``done`` steps, and publish the model.

    Raises ValueError in every process where one cannot write; what was saved before stays.
    """
    rng = distributed.gather_objects(rng_state())
    parts = whole_state(task.state_dict(), keep=distributed.is_main)
    with written(f"the checkpoint of step {done}", folder, distributed):
        if distributed.is_main:
            config = folder.config.read_text(encoding="utf-8")
            state = {"task": parts, "rng": rng, "config": config}
            save_checkpoint(folder.checkpoints, done, state, keep=run.keep)
    publish(task, done, folder, distributed, run)


def publish(
    task: Task[Any], done: int, folder: RunFolder, distributed: Distributed, run: RunConfig
) -> None:
    """Write the present model into the run folder, with the state of its training if asked."""
    writing = folder.root / f"{WRITING}model"
    state = None
    if run.publish_training_state:
        state = whole_state(task.training_state(), keep=distributed.is_main)
    with written("the model", folder, distributed), named_errors(folder.model):
        task.save(writing)
        if distributed.is_main:
            if state is not None:
                save_checkpoint(writing / TRAINING, done, state, keep=1)
            replace_folder(writing, folder.model)


@contextmanager
def written(what: str, folder: RunFolder, distributed: Distributed) -> Iterator[None]:
    """Wait for everyone at the end; where one could not write, all raise the same ValueError."""
    failure = ""
    try:
        yield
    except (OSError, SafetensorError) as error:
        for place in (folder.root, folder.checkpoints):
            for unfinished in place.glob(f"{WRITING}*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        failure = " ".join(str(error).split())
    failures = [text for text in distributed.gather_objects(failure) if text]
    if failures:
        raise ValueError(
            f"run.out: cannot write {what} to {folder.root}: {failures[0]}; make room and run the "
            "same command: it goes on from the checkpoint before"
        )


class Agreement:
    """What any of the processes wants after a step: the same answer on each.

    Of several on GPUs it is what they wanted a step earlier, so that none waits for its GPU.
    """

    def __init__(self, distributed: Distributed) -> None:
        self._distributed, self._late = distributed, distributed.device.type == "cuda"
        self._earlier: list[HostCopy] = []

    def __call__(self, overdue: bool, signum: int) -> tuple[bool, int]:
        """Whether any has to save, and the signal that any has to stop for (0: none)."""
        if self._distributed.world_size == 1:
            return overdue, signum
        own = upload(torch.tensor([[float(overdue), float(signum)]]), self._distributed.device)
        wanted = [HostCopy(one) for one in self._distributed.gather(own).amax(dim=0)]
        if self._late:
            wanted, self._earlier = self._earlier, wanted
        due, stop = (one.read() for one in wanted) if wanted else (0, 0)
        if due:
            self._earlier = []  # was wanted before the save that follows
        return bool(due), int(stop)


def mean_over_processes(logs: dict[str, Tensor], distributed: Distributed) -> dict[str, float]:
    """The logged scalars as numbers, averaged over all processes."""
    stacked = torch.stack([value.float().to(distributed.device) for value in logs.values()])
    return dict(zip(logs, distributed.mean(stacked).tolist(), strict=True))


def rng_state() -> dict[str, Tensor]:
    """This process's torch generators."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
