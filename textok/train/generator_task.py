"""One training step of a generator, from stored latents to new weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from textok.config.training import TrainOnLatentsConfig
from textok.generator import TokenGenerator
from textok.pipeline.folder import PipelineParts, save_pipeline
from textok.runtime.blocks import compile_network
from textok.runtime.device import autocast
from textok.runtime.sharding import load_weights, shard
from textok.train.chance import LatentChance
from textok.train.ema import Ema
from textok.train.examples import Examples
from textok.train.guard import Guard
from textok.train.held_out import HeldOut
from textok.train.lesson import Lesson
from textok.train.micro import Stateful, add_terms, empty_logs, global_rows, synced
from textok.train.optim import Optimizer


class GeneratorTask:
    """A generator and its lesson; with ``run.shard`` each of several processes has a part of it.

    ``parts`` are the pipeline that is published, with the averaged weights; ``held_out`` judges
    these.
    """

    def __init__(
        self,
        config: TrainOnLatentsConfig,
        *,
        lesson: Lesson[Any],
        parts: PipelineParts,
        held_out: HeldOut,
        accelerator: Accelerator,
    ) -> None:
        self.config, self.accelerator = config, accelerator
        self.lesson, self.parts, self.held_out = lesson, parts, held_out
        self.generator = parts.generator.to(accelerator.device)
        self.ema = Ema(self.generator, config.run.ema)
        sharded = config.run.shard and accelerator.num_processes > 1
        if sharded:
            self.ema.spread(accelerator.device)
            shard(self.generator, accelerator.device)
        self.optimizer = Optimizer(
            self.generator, config.optim, lr=config.optim.lr, first=0, steps=config.run.steps
        )
        self.guard = Guard(accelerator, limit=config.run.max_bad_steps)
        self.generator.set_grad_checkpointing(config.run.grad_checkpointing)
        if config.run.compile:
            compile_network(self.generator)
        self.parallel = self.generator if sharded else accelerator.prepare_model(self.generator)

    def step(self, micro_batches: Sequence[Examples], step: int) -> dict[str, Tensor]:
        """One optimiser step along the mean gradient over the global batch, or none.

        Raises ValueError after ``run.max_bad_steps`` non-finite steps in a row.
        """
        chance, count = self.lesson.draw(step), len(micro_batches)
        logs = empty_logs(self.accelerator)
        for index, examples in enumerate(micro_batches):
            rows = chance.rows(global_rows(self.config.run, self.accelerator, index, count))
            with synced(self.accelerator, self.parallel, index == count - 1):
                terms = self._terms(examples, rows)
                self.accelerator.backward(terms["loss"] / count)
            add_terms(logs, terms, 1 / count)
        norm = self.optimizer.clip()
        if self.guard.passes(step, [logs["loss"], norm]):
            logs["lr"] = norm.new_tensor(self.optimizer.step(step))
            self.ema.update(self.generator)
        self.optimizer.zero_grad()
        logs["grad_norm"] = norm
        logs["skipped"] = norm.new_tensor(float(self.guard.skipped))
        return dict(logs)

    def _terms(self, examples: Examples, chance: LatentChance) -> dict[str, Tensor]:
        """The lesson's scalars for one micro-batch; the network alone runs in ``run.precision``."""
        device = self.accelerator.device

        def network(*given: object) -> Tensor:
            with autocast(device, self.config.run.precision):
                return self.parallel(*given)

        return self.lesson.loss(
            network, examples.latents.to(device), examples.condition.to(device), chance.to(device)
        )

    def sheet(self) -> Image.Image:
        """Pictures of the fixed prompts by the averaged generator."""
        return self.held_out.sheet(self.averaged)

    def measure(self) -> dict[str, float]:
        """Losses of the averaged generator on held-out latents."""
        return self.held_out.measure(self.averaged)

    @property
    def averaged(self) -> TokenGenerator:
        """The generator with averaged weights, whole: the one to keep. All processes ask for it."""
        return self.ema.whole()

    def save(self, folder: Path) -> None:
        generator = self.averaged
        if self.accelerator.is_main_process:
            save_pipeline(folder, replace(self.parts, generator=generator))

    def state_dict(self) -> dict[str, Any]:
        """Weights, averages, optimiser and counters."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {"generator": self.generator.state_dict(), **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_weights(self.generator, state["generator"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Stateful]:
        return {
            "ema": self.ema,
            "optimizer": self.optimizer,
            "guard": self.guard,
        }
