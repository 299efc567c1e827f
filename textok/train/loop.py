"""The loop: steps, log, sheets, checkpoints, and a clean way out. What a step is, a Task knows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from textok.config import RunConfig
from textok.runtime.checkpoint import load_newest, save_checkpoint
from textok.runtime.files import replace_folder
from textok.runtime.run_folder import RunFolder
from textok.runtime.sharding import whole_state
from textok.runtime.stop import StopRequest
from textok.runtime.wait import with_timeout
from textok.train.recorder import Recorder

Micro = TypeVar("Micro")
"""What a micro-batch is made of."""
Given = TypeVar("Given", contravariant=True)


class Task(Protocol[Given]):
    """One thing that can be trained.

    Every process calls each of these at the same time, since what it has may be a part of the
    whole. Sheet, measure and state of the first process are the ones that count.
    """

    def step(self, micro_batches: Sequence[Given], step: int) -> dict[str, Tensor]:
        """Change the weights once; returns scalars, ``loss`` among them."""

    def sheet(self) -> Image.Image:
        """A picture of where the training stands."""

    def measure(self) -> dict[str, float]:
        """Scalars that take longer to measure: each ``validate_every`` steps, or with a sheet."""

    def save(self, folder: Path) -> None:
        """Write what is to be used afterwards, in the first process."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def train(
    task: Task[Micro],
    batches_from: Callable[[int], Iterator[Sequence[Micro]]],
    *,
    config: RunConfig,
    folder: RunFolder,
    accelerator: Accelerator,
) -> None:
    """Bring ``task`` from its newest checkpoint, if any, to ``config.steps`` steps.

    ``batches_from(step)`` gives this process's micro-batches of that step and all after it.
    Ctrl-C and SIGTERM save and raise SystemExit with 128 + the signal's number.
    """
    first = resume(task, folder, accelerator)
    if first >= config.steps:
        publish(task, folder, accelerator)
        return
    recorder = Recorder(folder, config, first) if accelerator.is_main_process else nullcontext()
    with StopRequest() as stop, recorder as desk:
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
            judge = done % (config.validate_every or config.sheet_every) == 0 or last
            if done % config.log_every == 0 or show or judge:
                values = mean_over_processes(logs, accelerator)
                with desk.paused() if desk else nullcontext():
                    measured = task.measure() if judge else {}
                if desk:
                    desk.write(done, {**values, **measured})
            if desk:
                desk.advance()
            if show:
                sheet = task.sheet()
                if desk:
                    desk.show(done, sheet)
            overdue = 0 < 60 * config.save_minutes < time.monotonic() - saved_at
            due, signum = agree(overdue, stop.signum, accelerator)
            if done % config.save_every == 0 or last or due or signum:
                save(task, done, folder, accelerator, keep=config.keep)
                saved_at = time.monotonic()
            if last:
                return
            if signum:
                if desk:
                    desk.say(f"stopped and saved at step {done}: run the same command to go on")
                raise SystemExit(128 + signum)


def resume(task: Task[Any], folder: RunFolder, accelerator: Accelerator) -> int:
    """Load the newest good checkpoint; returns the number of steps done.

    Raises ValueError where the processes do not see the same one.
    """
    main = accelerator.is_main_process
    found = load_newest(folder.checkpoints, say=print if main else lambda message: None)
    step = 0
    if found is not None:
        step, state = found
        task.load_state_dict(state["task"])
        rng = state["rng"]
        if len(rng) == accelerator.num_processes:
            restore_rng(rng[accelerator.process_index])
    steps = gather_object([step])
    if len(set(steps)) > 1:
        raise ValueError(
            f"the processes see checkpoints of steps {steps}: run.out ({folder.root}) must be a "
            f"folder that all of them share"
        )
    return step


def save(
    task: Task[Any], done: int, folder: RunFolder, accelerator: Accelerator, *, keep: int
) -> None:
    """Write a checkpoint after ``done`` steps, which is the data's position too, and publish.

    Raises ValueError in every process where one cannot write; what was saved before stays.
    """
    rng = gather_object([rng_state()])
    parts = whole_state(task.state_dict(), keep=accelerator.is_main_process)
    with written(f"the checkpoint of step {done}", folder, accelerator):
        if accelerator.is_main_process:
            config = folder.config.read_text(encoding="utf-8")
            state = {"task": parts, "rng": rng, "config": config}
            save_checkpoint(folder.checkpoints, done, state, keep=keep)
    publish(task, folder, accelerator)


def publish(task: Task[Any], folder: RunFolder, accelerator: Accelerator) -> None:
    """Put what the task would leave behind by now into the run folder."""
    writing = folder.root / ".writing-model"
    with written("the model", folder, accelerator):
        task.save(writing)
        if accelerator.is_main_process:
            replace_folder(writing, folder.model)


@contextmanager
def written(what: str, folder: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Wait for everyone at the end; where one could not write, all raise the same ValueError."""
    failure = ""
    try:
        yield
    except (OSError, SafetensorError) as error:
        for place in (folder.root, folder.checkpoints):
            for unfinished in place.glob(".writing-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        failure = " ".join(str(error).split())
    failures = [failure for failure in gather_object([failure]) if failure]
    if failures:
        raise ValueError(
            f"run.out: cannot write {what} to {folder.root}: {failures[0]}; make room and run the "
            "same command: it goes on from the checkpoint before"
        )


def agree(overdue: bool, signum: int, accelerator: Accelerator) -> tuple[bool, int]:
    """What any process wants, all do: whether to save, and the signal to stop for (0: none)."""
    if accelerator.num_processes == 1:
        return overdue, signum
    wishes = torch.tensor([float(overdue), float(signum)], device=accelerator.device)
    everyones = accelerator.gather(wishes[None]).amax(dim=0)
    return bool(everyones[0]), int(everyones[1])


def mean_over_processes(logs: dict[str, Tensor], accelerator: Accelerator) -> dict[str, float]:
    """The logged scalars as numbers, averaged over all processes."""
    stacked = torch.stack([value.float().to(accelerator.device) for value in logs.values()])
    means = accelerator.reduce(stacked, reduction="mean").tolist()
    return dict(zip(logs, means, strict=True))


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
