"""What every training has around its loop: processes, run folder, text features, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from textok.config import RunConfig, TextConfig
from textok.runtime.checkpoint import checkpoint_step, list_checkpoints
from textok.runtime.run_folder import RunFolder
from textok.text import FeatureCache, FrozenTextEncoder, load_text_encoder
from textok.train.distributed import Distributed, join_distributed
from textok.train.loop import Micro, Task, train
from textok.train.report import write_report


class TrainConfig(Protocol):
    """All settings of one training."""

    @property
    def run(self) -> RunConfig: ...


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training in one process or many, with the folder that it fills."""

    config: TrainConfig
    folder: RunFolder
    distributed: Distributed

    def open_folder(self) -> None:
        """Create the run folder and store the settings."""
        if self.distributed.is_main:
            self.folder.open(self.config)
        self.distributed.wait()

    def open_text(
        self, text: TextConfig, captions: Sequence[str], *, default: Path | None = None
    ) -> FeatureCache | FrozenTextEncoder:
        """The features of ``captions``, computed before training, by each process its share.

        They lie in ``text.cache``, or in ``default``, or in the run folder. Where nothing is
        stored it is the encoder itself, which all processes have to ask equally often if its
        weights are shared out.
        """
        device = self.distributed.device
        if text.store == "nothing":
            shared = text.shard and self.distributed.world_size > 1
            return load_text_encoder(text, device=device, shard=shared)
        place = Path(text.cache) if text.cache else default or self.folder.text_cache
        cache = FeatureCache(text, place, device=device)
        cache.warm(captions)
        if cache.cut:
            self.distributed.print(f"text.max_tokens = {text.max_tokens} cut {cache.cut} captions")
        return cache

    def train(
        self, task: Task[Micro], batches_from: Callable[[int], Iterator[Sequence[Micro]]]
    ) -> None:
        """Train ``task`` to its last step, from its newest checkpoint if there is one."""
        train(
            task,
            batches_from,
            config=self.config.run,
            folder=self.folder,
            distributed=self.distributed,
        )

    def close(self, data: str) -> Path:
        """Write the report, in which ``data`` says what was read; returns the run folder."""
        if self.distributed.is_main:
            write_report(self.folder, self.config, data)
            self.distributed.print(f"done: {self.folder.report}, model in {self.folder.model}")
        self.distributed.wait()
        self.distributed.close()
        return self.folder.root


def open_session(config: TrainConfig) -> Session | None:
    """A session in the folder ``run.out``; None where that run is finished, after saying so.

    Nothing is written yet. Raises ValueError for settings that contradict each other, or that the
    interrupted run did not have.
    """
    run = config.run
    if not run.out:
        raise ValueError("run.out is empty: name the folder of the run")
    folder = RunFolder(Path(run.out))
    folder.check(config)
    distributed = join_distributed(batch_size=run.batch_size, accumulate=run.accumulate)
    done = [checkpoint_step(path) for path in list_checkpoints(folder.checkpoints)]
    if folder.report.exists() and max(done, default=0) >= run.steps:
        distributed.print(f"{folder.root} is finished: {folder.report}")
        distributed.close()
        return None
    return Session(config=config, folder=folder, distributed=distributed)
