"""Runs trainings one after another, each in processes of its own that die where they are told to.

Reads lists of jobs as JSON from stdin, a line each, and prints the exit codes of each job. One
import of torch serves them all, because the processes are forked. Not a test module: ``Jobs``
starts it.
"""

from __future__ import annotations

import errno
import faulthandler
import functools
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Imported once, before the forks, because training would import them.
import matplotlib.figure  # noqa: F401
import torch._dynamo
import torch.distributed.run
import torch.utils.tensorboard

import textok.runtime.checkpoint as checkpoint
import textok.runtime.prefetch as prefetch
import textok.train.feature_alignment as feature_alignment
import textok.train.frechet as frechet
import textok.train.loop as loop
import textok.train.reconstruction_validator as validation
import textok.train.report as report
import textok.train.session as session
import textok.train.tokenizer as tokenizer
from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.read import load_config
from textok.latents import LatentSet
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import psnr
from textok.runtime.run_log import RunLog
from textok.runtime.sharding import local
from textok.text import TextFeaturesSource
from textok.train import train_generator, train_maskgit, train_tokenizer, train_vqgan
from textok.train.step import TrainingStep
from textok.train.task import TrainingTask
from textok.types import TextFeatures

TRAININGS: dict[type[Any], Callable[[Any], Path]] = {
    TrainTokenizerConfig: train_tokenizer,
    TrainVQGANConfig: train_vqgan,
    TrainGeneratorConfig: train_generator,
    TrainMaskGITConfig: train_maskgit,
}


KEPT: list[Any] = []


class FakeText(TextFeaturesSource):
    """Stands in for FeatureCache: up to three states a caption, made from its letters."""

    width = 8

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        states = torch.zeros(len(captions), 3, self.width)
        mask = torch.zeros(len(captions), 3, dtype=torch.bool)
        for row, caption in enumerate(captions):
            for place, word in enumerate(caption.split()[:3]):
                states[row, place] = torch.tensor([ord(word[i % len(word)]) / 64 for i in range(8)])
                mask[row, place] = True
        return TextFeatures(states=states, mask=mask)


def few_features(network: object, **_: Any) -> FeatureNetwork:
    """The means of 4 x 4 pixels in place of a network: a distance that takes no time."""
    return FeatureNetwork(
        name="means",
        metric="FD-means",
        width=48,
        protocol="",
        extract=lambda images: torch.nn.functional.avg_pool2d(images, 4).flatten(1),
        with_gradient=lambda images: torch.nn.functional.avg_pool2d(images, 4).flatten(1),
        feature_map=lambda images: torch.nn.functional.avg_pool2d(images, 8),
    )


def die_after(
    call: Callable[..., Any], when: Callable[..., bool], number: int
) -> Callable[..., Any]:
    """``call``, and then signal ``number`` to this very process if ``when`` says so."""

    def wrapped(*args: Any, **options: Any) -> Any:
        result = call(*args, **options)
        if when(*args):
            os.kill(os.getpid(), number)
        return result

    return wrapped


def full_disk(tensors: Any, path: Path) -> None:
    """Writes half a file, and then there is no room."""
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def arm(point: str) -> None:
    """Prepare death at ``point``, or at the first of several, by commas, that comes.

    log:K, term:K (of the first process, after it logged), save:K (half written), model:K (not
    written), last:K (of the last process, after step K, in its first life), agent:K (a signal to
    who started it), full:0 (no room for a checkpoint), hang:K (no batch after the K-th).
    """
    if "," in point:
        for one in point.split(","):
            arm(one)
        return
    kind, _, step = point.partition(":")
    if kind in ("log", "term"):
        number = signal.SIGKILL if kind == "log" else signal.SIGTERM
        RunLog.write = die_after(RunLog.write, lambda log, at, _: at == int(step), number)
    elif kind == "last" and last_process() and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        TrainingStep.__call__ = die_after(
            TrainingStep.__call__, lambda task, given, at: at == int(step), signal.SIGKILL
        )
    elif kind == "agent":
        parent = os.getppid()
        write = RunLog.write

        def tell(log: RunLog, at: int, values: Any) -> None:
            write(log, at, values)
            if at == int(step):
                os.kill(parent, signal.SIGTERM)

        RunLog.write = tell
    elif kind == "full":
        checkpoint.save_file = full_disk
    elif kind == "hang" and last_process():
        prefetch.SECONDS_TO_END = 0.1
        read, left = LatentSet.batch, iter(range(int(step)))

        def hang(latents: LatentSet, rows: Sequence[int]) -> Any:
            return time.sleep(600) if next(left, None) is None else read(latents, rows)

        LatentSet.batch = hang
    elif kind == "save":
        name = f".writing-step-{int(step):08d}"
        checkpoint.save_file = die_after(
            checkpoint.save_file, lambda tensors, path: path.parent.name == name, signal.SIGKILL
        )
    elif kind == "model":
        loop.save_checkpoint = die_after(
            loop.save_checkpoint, lambda root, at, state: at == int(step), signal.SIGKILL
        )


def count_weights(task: TrainingTask) -> None:
    """Say how many numbers this process has of the generator and of its average."""
    for module in (task.network, task.ema.module):
        numbers = sum(local(value).numel() for value in module.parameters())
        print(f"numbers here: {numbers}")


def last_process() -> bool:
    return os.environ.get("RANK", "0") == str(int(os.environ.get("WORLD_SIZE", "1")) - 1)


def exact(job: dict[str, Any]) -> Callable[..., dict[str, float]]:
    """The mean scalars of a step; their loss, before it is rounded for the log, goes to a file."""
    mean, target = loop.mean_over_processes, Path(job["output"]).with_suffix(".losses")

    def wrapped(*args: Any) -> dict[str, float]:
        values = mean(*args)
        with target.open("a") as file:
            file.write(f"{values['loss'].hex()}\n")
        return values

    return wrapped


def kept(work: Callable[..., None], *given: Any, **named: Any) -> None:
    """``work`` whose arguments outlive it."""
    KEPT.append((given, named))
    work(*given, **named)


def train(job: dict[str, Any]) -> int:
    """One process of a job; its output goes to ``job['output']``."""
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # One that hangs says where, and does not hold up the others.
    faulthandler.dump_traceback_later(180, exit=True)
    torch.set_num_threads(1)
    if job["fake_text"]:
        session.open_features = lambda *_, **__: FakeText()
        tokenizer.find_text_model = lambda name: FakeText
    validation.load_efficientnet_lite0 = torch.nn.Identity
    validation.load_image_metrics = lambda network, device, **_: ({"psnr": psnr}, [])
    validation.lite0_features = few_features
    feature_alignment.load_feature_network = frechet.load_feature_network = few_features
    if not job["curves"]:
        report.draw_curves = lambda log, target: None
    loop.mean_over_processes = exact(job)
    arm(job["die"])
    # torch may hang in taking down what the processes shared, and a process ends soon enough.
    session.train = functools.partial(kept, session.train)
    measure = TrainingTask.measure
    TrainingTask.measure = lambda task: (count_weights(task), measure(task))[1]
    try:
        kind = next(kind for kind in TRAININGS if kind.__name__ == job["settings"])
        TRAININGS[kind](load_config(kind, [Path(job["config"])]))
    except SystemExit as stop:
        return int(str(stop.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def launch(job: dict[str, Any]) -> int:
    """All processes of a job, started again as often as it says; what ``torchrun`` ends with."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            torchrun(job)
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def torchrun(job: dict[str, Any]) -> None:
    """The command itself, but for its processes: forked, not new ones that import torch each."""
    # Else the second life finds addresses of the first (github.com/pytorch/pytorch/issues/135712).
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    read = torch.distributed.run.config_from_args

    def forked(args: Any) -> Any:
        config, _, _ = read(args)
        config.start_method = "fork"
        return config, lambda: sys.exit(train(job)), []

    torch.distributed.run.config_from_args = forked
    numbers = [f"--nproc-per-node={job['world']}", f"--max-restarts={job['restarts']}"]
    torch.distributed.run.main(["--standalone", *numbers, __file__])


def fork(job: dict[str, Any], rank: int, port: int) -> int:
    """Start one process; returns its id."""
    pid = os.fork()
    if pid == 0:
        if job["world"] > 1:
            os.environ.update(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(job["world"]),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
            )
        code = train(job)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return pid


def run(job: dict[str, Any]) -> list[int]:
    """All processes of a job; when one dies, the others are ended. Signals count negative."""
    for path in job["damage"]:
        with Path(path).open("r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"damaged!")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = {fork(job, rank, port): rank for rank in range(job["world"])}
    codes = [0] * job["world"]
    alive = set(ranks)
    while alive:
        pid, status = os.wait()
        alive.discard(pid)
        codes[ranks[pid]] = os.waitstatus_to_exitcode(status)
        if os.WIFSIGNALED(status):
            for other in alive:
                os.kill(other, signal.SIGKILL)
    return codes


if __name__ == "__main__":
    gc.freeze()  # what the forks share is not looked through, and so not copied, by each of them
    for line in sys.stdin:
        jobs = json.loads(line)
        if not all(job["fake_text"] for job in jobs):
            importlib.import_module("transformers.models.t5.modeling_t5")
        codes = [run(job) if job["restarts"] is None else [launch(job)] for job in jobs]
        print(json.dumps(codes), flush=True)
