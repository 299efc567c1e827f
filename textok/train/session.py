"""What every training has around its loop: processes, run folder, text features, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from textok.config import RunConfig, TextConfig
from textok.config.check import require_text
from textok.data.fingerprint import Fingerprint
from textok.runtime.checkpoint import State, checkpoint_step, list_checkpoints
from textok.runtime.device import trained_in
from textok.runtime.files import require_writable
from textok.runtime.finished import finish_run, is_finished, reopen_run
from textok.runtime.lock import FolderLock
from textok.runtime.run_folder import RunFolder
from textok.text import TextFeaturesSource, open_features
from textok.train.distributed import Distributed, join_distributed
from textok.train.loop import Micro, Task, train
from textok.train.published_state import read_published_state
from textok.train.report import write_report
from textok.train.same_data import check_data


class TrainConfig(Protocol):
    """All settings of one training."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def init(self) -> str: ...

    @property
    def init_training_state(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training in one process or many, with the folder that it fills."""

    config: TrainConfig
    folder: RunFolder
    distributed: Distributed
    initial: list[State] = field(default_factory=list)
    """That of the training which published ``init``, for one that goes on from there, until then.
    """
    _locks: list[FolderLock] = field(default_factory=list)

    def open_folder(
        self, fingerprint: Callable[[], Fingerprint], *, allow_changed: bool = False
    ) -> None:
        """Create the run folder, keep other processes out of it, and store the settings.

        Also stored is the ``fingerprint`` of what is trained on. Raises ValueError in every process
        where the folder is another's or in use, or where the run was begun with other data, unless
        ``allow_changed``.
        """
        main = self.distributed.is_main
        problem = self._open(fingerprint, allow_changed) if main else ""
        problems = [text for text in self.distributed.gather_objects(problem) if text]
        if problems:
            raise ValueError(problems[0])

    def _open(self, fingerprint: Callable[[], Fingerprint], allow_changed: bool) -> str:
        try:
            found = fingerprint()
            check_data(self.folder, self.config, found, allow_changed=allow_changed)
            self.folder.claim()
            self._locks.append(FolderLock(self.folder.root))
            reopen_run(self.folder)
            self.folder.open(self.config)
            found.write(self.folder.fingerprint)
        except ValueError as error:
            return str(error)
        return ""

    def open_text(
        self, text: TextConfig, captions: Sequence[str], *, default: Path | None = None
    ) -> TextFeaturesSource:
        """The features of ``captions``, computed before training, by each process its share.

        They are stored in ``text.cache``, ``default`` or the run folder. Where nothing is stored,
        they are encoded at each step: all processes have to call equally often if they share the
        weights of the encoder.
        """
        place = Path(text.cache) if text.cache else default or self.folder.text_cache
        features = open_features(text, folder=place, device=self.distributed.device)
        features.warm(captions)
        if features.cut:
            self.distributed.print(
                f"text.max_tokens = {text.max_tokens} cut {features.cut} captions"
            )
        return features

    def train(
        self, task: Task[Micro], batches_from: Callable[[int], Iterator[Sequence[Micro]]]
    ) -> None:
        """Train ``task`` to its last step, from its newest checkpoint if there is one."""
        if self.initial:
            started = task.start_from(self.initial.pop())
            self.distributed.print(f"init {self.config.init}: {started}")
        train(
            task,
            batches_from,
            config=self.config.run,
            folder=self.folder,
            distributed=self.distributed,
        )

    def close(self, data: str, *, not_comparable: Sequence[str] = ()) -> Path:
        """Write the report, in which ``data`` says what was read; returns the run folder.

        ``not_comparable`` are those of ``write_report``.
        """
        if self.distributed.is_main:
            write_report(self.folder, self.config, data, not_comparable=not_comparable)
            finish_run(self.folder, step=self.config.run.steps)
            for lock in self._locks:
                lock.release()
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
    require_text("run.out", run.out)
    folder = RunFolder(Path(run.out))
    folder.check(config)
    distributed = join_distributed(batch_size=run.batch_size, accumulate=run.accumulate)
    done = [checkpoint_step(path) for path in list_checkpoints(folder.checkpoints)]
    if max(done, default=0) >= run.steps and is_finished(folder, step=max(done)):
        distributed.print(f"{folder.root} is finished: {folder.report}")
        distributed.close()
        return None
    if trained_in(distributed.device, run.precision) != run.precision:
        distributed.print(f"run.precision {run.precision} is slow on this CPU: trained in fp32")
    if distributed.is_main:
        require_writable(folder.root)  # what is read before it is opened may take long
    initial = []
    if config.init_training_state and not done:
        initial.append(read_published_state(config.init))
    return Session(config=config, folder=folder, distributed=distributed, initial=initial)
