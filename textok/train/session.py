"""What every training has around its loop: processes, run folder, text features and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from textok.config import RunConfig, TextConfig
from textok.runtime.checkpoint import checkpoint_step, list_checkpoints
from textok.runtime.device import best_device
from textok.runtime.run_folder import RunFolder
from textok.text import TextFeaturesSource, open_features
from textok.train.loop import Micro, Task, train
from textok.train.report import write_report

FREE = frozenset(
    {
        "data.cache",
        "data.max_bad_share",
        "data.workers",
        "fd_images",
        "prompts",
        "run.accumulate",
        "run.compile",
        "run.grad_checkpointing",
        "run.keep",
        "run.log_every",
        "run.max_bad_steps",
        "run.out",
        "run.save_every",
        "run.save_minutes",
        "run.shard",
        "run.sheet_every",
        "run.steps",
        "run.validate_every",
        "run.validate_images",
        "run.wait_minutes",
        "run.wandb",
        "sampling.guidance.form",
        "sampling.guidance.high",
        "sampling.guidance.low",
        "sampling.guidance.power",
        "sampling.guidance.scale",
        "sampling.guidance.schedule",
        "sampling.sampler",
        "sampling.softmax_annealing",
        "sampling.steps",
        "sampling.temperature",
        "text.cache",
        "text.shard",
        "text.store",
    }
)
"""Settings that may change when a run is continued."""


class TrainConfig(Protocol):
    """All settings of one training."""

    @property
    def run(self) -> RunConfig: ...


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training in one process or many, with the folder that it fills."""

    config: TrainConfig
    folder: RunFolder
    accelerator: Accelerator

    def open_folder(self) -> None:
        """Create the run folder and store the settings."""
        if self.accelerator.is_main_process:
            self.folder.open(self.config)
        self.accelerator.wait_for_everyone()

    def open_text(
        self, text: TextConfig, captions: Sequence[str], *, default: Path | None = None
    ) -> TextFeaturesSource:
        """The features of ``captions``, computed before training, by each process its share.

        They are stored in ``text.cache``, ``default`` or the run folder. Where nothing is stored,
        they are encoded at each step: all processes have to call equally often if they share the
        weights of the encoder.
        """
        place = Path(text.cache) if text.cache else default or self.folder.text_cache
        features = open_features(text, folder=place, device=self.accelerator.device)
        features.warm(captions)
        if features.cut:
            self.accelerator.print(
                f"text.max_tokens = {text.max_tokens} cut {features.cut} captions"
            )
        return features

    def train(
        self, task: Task[Micro], batches_from: Callable[[int], Iterator[Sequence[Micro]]]
    ) -> None:
        """Bring ``task`` to its last step, from wherever its newest checkpoint is."""
        train(
            task,
            batches_from,
            config=self.config.run,
            folder=self.folder,
            accelerator=self.accelerator,
        )

    def close(self, data: str) -> Path:
        """Write the report, in which ``data`` says what was read; returns the run folder."""
        if self.accelerator.is_main_process:
            write_report(self.folder, self.config, data)
            self.accelerator.print(f"done: {self.folder.report}, model in {self.folder.model}")
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.folder.root


def open_session(config: TrainConfig, *, free: frozenset[str] = FREE) -> Session | None:
    """A session in the folder ``run.out``; None where that run is finished, after saying so.

    ``free`` holds the settings that may differ from an interrupted run's. Nothing is written yet.
    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    if not config.run.out:
        raise ValueError("run.out is empty: name the folder of the run")
    folder = RunFolder(Path(config.run.out))
    folder.check(config, free=free)
    accelerator = open_accelerator(config.run)
    done = [checkpoint_step(path) for path in list_checkpoints(folder.checkpoints)]
    if folder.report.exists() and max(done, default=0) >= config.run.steps:
        accelerator.print(f"{folder.root} is finished: {folder.report}")
        accelerator.end_training()
        return None
    return Session(config=config, folder=folder, accelerator=accelerator)


def open_accelerator(run: RunConfig) -> Accelerator:
    """Device and processes; ``run.batch_size`` must divide by processes x accumulation."""
    accelerator = Accelerator(
        cpu=best_device().type == "cpu",
        mixed_precision="no",
        # The first process may take long over the text features while the others wait.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=6))],
    )
    parts = accelerator.num_processes * run.accumulate
    if run.batch_size % parts:
        raise ValueError(
            f"run.batch_size {run.batch_size} is not a multiple of processes x "
            f"run.accumulate = {accelerator.num_processes} x {run.accumulate}"
        )
    return accelerator
