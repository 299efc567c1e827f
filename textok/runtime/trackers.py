"""Where else a run's scalars and sheets go, beside its ``log.jsonl``: one interface for all."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from textok.config.run import TrackerName

SHEET = "sheet"


class Tracker(Protocol):
    """Receives what a run logs; a resumed run goes on in the same place."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars after ``step`` steps, a curve each."""
        ...

    def show(self, step: int, sheet: Image.Image) -> None:
        """An image sheet after ``step`` steps."""
        ...

    def close(self) -> None: ...


def open_tracker(name: TrackerName, root: Path, *, project: str, step: int) -> Tracker:
    """The tracker of the run in ``root``, which goes on after ``step`` steps.

    Raises ValueError where its package is not installed or refuses.
    """
    if name == "none":
        return Nothing()
    if name == "tensorboard":
        return TensorBoard(root, step=step)
    return Hosted(name, root, project=project)


class Nothing:
    """No tracker."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def show(self, step: int, sheet: Image.Image) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in ``tensorboard/``; entries later than ``step`` are dropped."""

    def __init__(self, root: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(root / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def show(self, step: int, sheet: Image.Image) -> None:
        pixels = np.asarray(sheet.convert("RGB"))
        self._writer.add_image(SHEET, pixels, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class Hosted:
    """Weights & Biases, or trackio, which has the same functions; a run is named like its folder.

    Both refuse steps that lie before the last logged one; a resumed run's repeated steps are theirs
    to drop, ``log.jsonl`` has each once.
    """

    def __init__(self, name: Literal["wandb", "trackio"], root: Path, *, project: str) -> None:
        try:
            self._package: Any = importlib.import_module(name)
        except ImportError:
            raise ValueError(
                f"run.tracker is '{name}' but {name} is not installed: pip install {name}, or use "
                "tensorboard"
            ) from None
        run = root.resolve().name
        # A run of W&B resumes by its id and writes into a folder; one of trackio has its name.
        own = {"dir": str(root), "id": run} if name == "wandb" else {"embed": False}
        try:
            self._run = self._package.init(project=project, name=run, resume="allow", **own)
        except Exception as error:  # whatever network, account or disk makes of it
            hint = "run `wandb login` first, or " if name == "wandb" else ""
            raise ValueError(f"run.tracker: {name}: {error}; {hint}use tensorboard") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._package.log(dict(values), step=step)

    def show(self, step: int, sheet: Image.Image) -> None:
        self._package.log({SHEET: self._package.Image(sheet)}, step=step)

    def close(self) -> None:
        self._package.finish()
