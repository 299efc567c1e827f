"""DiT over 1-D tokens: noisy tokens, time and condition to what the objective asks for.

Legend: B batch, S sampling steps, K latent tokens, C channels, D width, X = C * outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from textok.config.check import require
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.config.networks import UNKNOWN
from textok.generator.condition import LabelEmbedder, condition_embedder
from textok.generator.mean_flow import MeanFlowCondition, MeanFlowEmbedding, sample_mean_flow
from textok.generator.pretrained import generator_trained_with, read_generator
from textok.generator.sample import sample
from textok.generator.token_generator import TokenGenerator
from textok.nn.adaptive_block import DiTBlock, FinalLayer, TextKeys
from textok.nn.positions import sinusoid_positions
from textok.nn.time import TimeEmbedding
from textok.runtime.pretrained import restored
from textok.types import Condition

TABLE_LIMIT = 2**28
"""Most numbers that ``prepare`` keeps as modulations: 1 GB in float32."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What does not change from step to step, for S times and B rows."""

    vectors: Tensor
    """(S, B, D) condition vectors; (S, 1, D) where all rows have the same."""
    modulations: tuple[Tensor, ...] | None
    """Of each block and the final layer, (S, B or 1, 6 D or 2 D); None above TABLE_LIMIT."""
    keys: tuple[TextKeys | None, ...]
    """Keys and values of the text for each block."""


class DiT(TokenGenerator):
    """Diffusion transformer with adaLN-Zero (Peebles & Xie 2023, arXiv 2212.09748, section 3.2).

    Each latent token is one position. Positions start as sines and cosines, so that they differ
    from the first step on, and are learned: the tokens of a 1-D tokenizer have no distances that a
    fixed table could know.
    """

    kind: ClassVar[str] = "generator"
    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        config.check_filled("channels")
        self.config = config
        shape = config.network
        self.embed = nn.Linear(config.channels, shape.width)
        self.positions = nn.Parameter(sinusoid_positions(config.num_tokens, shape.width))
        self.time = TimeEmbedding(shape.width, highest=config.time_frequency)
        by_mean_flow = config.objective.name == "meanflow"
        self.mean_flow = MeanFlowEmbedding(shape.width) if by_mean_flow else None
        self.reader = condition_embedder(config, shape.width, pooled=config.pooled_text)
        self.blocks = nn.ModuleList(
            DiTBlock(
                shape.width,
                shape.heads,
                reads_text=config.condition == "text",
                qk_norm=config.qk_norm,
                dropout=config.dropout,
            )
            for _ in range(shape.depth)
        )
        self.final = FinalLayer(shape.width, config.channels * config.objective.outputs)
        self._init_weights()

    def forward(
        self,
        x_BKC: Tensor,
        t_B: Tensor,
        condition: Condition,
        *,
        mean_flow: MeanFlowCondition | None = None,
        hidden_after: int = 0,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Output (B, K, X) in float32 at times ``t_B`` in [0, 1], one a row.

        ``mean_flow`` (B rows) is for the objective of that name, whose output is the average
        velocity (C numbers), then the velocity. With ``hidden_after`` also the states (B, K, D)
        after that block, counted from 1.
        Raises ValueError for shapes, labels or a kind of condition that this network does not take.
        """
        self._check_tokens(x_BKC, condition.rows)
        require(
            t_B.shape == x_BKC.shape[:1],
            f"times have shape {tuple(t_B.shape)} for {x_BKC.shape[0]} rows of tokens",
        )
        row_BD, text = self.reader(condition)
        vector_BD = _join(self._time(t_B, mean_flow), row_BD)
        x_BKD = self._embed(x_BKC)
        hidden_BKD = x_BKD
        for number, block in enumerate(self.blocks, start=1):
            if self.grad_checkpointing and torch.is_grad_enabled():
                x_BKD = checkpoint(block, x_BKD, vector_BD, text, use_reentrant=False)
            else:
                x_BKD = block(x_BKD, vector_BD, text)
            if number == hidden_after:
                hidden_BKD = x_BKD
        output = self.final(x_BKD, self.final.modulation(vector_BD)).float()
        return (output, hidden_BKD) if hidden_after else output

    def prepare(
        self,
        condition: Condition,
        times_S: Tensor,
        *,
        mean_flow: MeanFlowCondition | None = None,
    ) -> Prepared:
        """Compute once what ``step`` needs at each of ``times_S`` in [0, 1].

        ``mean_flow`` (S rows) is for the objective of that name.
        Raises ValueError for labels or a kind of condition that this network does not take.
        """
        row_BD, text = self.reader(condition)
        times_S = times_S.to(self.positions.device)
        vectors = _join(self._time(times_S, mean_flow)[:, None], row_BD)
        numbers = vectors.numel() * (6 * len(self.blocks) + 2)
        layers = self._modulation_layers() if numbers <= TABLE_LIMIT else None
        return Prepared(
            vectors=vectors,
            modulations=None if layers is None else tuple(layer(vectors) for layer in layers),
            keys=tuple(block.text_keys(text) for block in self._blocks()),
        )

    def step(self, x_BKC: Tensor, index: int, prepared: Prepared) -> Tensor:
        """``forward`` at ``times_S[index]`` of ``prepared``, for all rows."""
        self._check_tokens(x_BKC, len(x_BKC))
        vector = prepared.vectors[index]
        if prepared.modulations is None:
            *each, last = (layer(vector) for layer in self._modulation_layers())
        else:
            *each, last = (table[index] for table in prepared.modulations)
        x_BKD = self._embed(x_BKC)
        for block, modulation, keys in zip(self._blocks(), each, prepared.keys, strict=True):
            x_BKD = block.apply_prepared(x_BKD, modulation, keys)
        return self.final(x_BKD, last).float()

    def sample(
        self,
        condition: Condition,
        *,
        sampling: SamplingConfig,
        seeds: Sequence[int],
        negative: Condition | None = None,
        guide: DiT | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Tokens (B, K, C), on the normalised scale of the latents that the DiT learnt from.

        Guidance leads away from ``guide``, a weaker version of this network, under the same
        condition, where ``sampling.guidance.guide`` names one. By ``meanflow`` guidance is itself a
        condition, beside which there is neither ``negative`` nor ``guide``.
        """
        if self.recorder is not None and isinstance(self.reader, LabelEmbedder):
            for given in (condition, negative):
                if given is not None and given.labels is not None:
                    self.reader.check(given.labels)
        if self.mean_flow is not None:
            require(guide is None, "guide: a generator trained by 'meanflow' takes none")
            if negative is not None:
                self.config.check_negative()
            return sample_mean_flow(
                self,
                condition,
                sampling=sampling,
                seeds=seeds,
                on_step=on_step,
                recorder=self.recorder,
            )
        return sample(
            self,
            condition,
            sampling=sampling,
            seeds=seeds,
            negative=negative,
            guide=guide,
            on_step=on_step,
            recorder=self.recorder,
        )

    @classmethod
    def from_pretrained(cls, source: str | Path) -> DiT:
        """Load a folder or a hub repository, in float32 and eval mode.

        Raises ValueError naming the file, key or setting that does not fit.
        """
        config, state = read_generator(source, cls.kind, GeneratorConfig)
        generator = restored(partial(cls, config), state, where=source)
        generator.trained_with = generator_trained_with(source)
        return generator

    @property
    def trained_against(self) -> tuple[str, ...]:
        alignment = self.config.alignment
        if alignment.weight == 0:
            return self.trained_with
        return tuple(sorted({*self.trained_with, alignment.network or UNKNOWN}))

    def _time(self, times: Tensor, mean_flow: MeanFlowCondition | None) -> Tensor:
        """Vectors (..., D) of times and, where the objective has them, of its conditions."""
        if self.mean_flow is None or mean_flow is None:
            assert self.mean_flow is None and mean_flow is None, "mean_flow goes with its objective"
            return self.time(times)
        return self.time(times) + self.mean_flow(mean_flow)

    def _embed(self, x_BKC: Tensor) -> Tensor:
        return self.embed(x_BKC.to(self.embed.weight.dtype)) + self.positions

    def _blocks(self) -> list[DiTBlock]:
        return cast("list[DiTBlock]", self.blocks)

    def _modulation_layers(self) -> list[nn.Linear]:
        own = [block.modulation for block in self._blocks() if block.modulation is not None]
        return [*own, self.final.modulation]

    def _check_tokens(self, x_BKC: Tensor, rows: int) -> None:
        expected = (rows, self.config.num_tokens, self.config.channels)
        require(
            x_BKC.shape == expected,
            f"tokens have shape {tuple(x_BKC.shape)}, this generator takes {expected} for a "
            f"condition of {rows} rows",
        )

    def _init_weights(self) -> None:
        """Xavier for linear layers, normal 0.02 for embeddings, zero where adaLN-Zero asks."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        self.time.mlp.init_weights()
        if self.mean_flow is not None:
            self.mean_flow.init_weights()
        self.reader.init_weights()
        for block in self._blocks():
            block.init_weights()
        self.final.init_weights()


def _join(time: Tensor, row_BD: Tensor | None) -> Tensor:
    """The condition vector, through the SiLU that precedes each modulation."""
    return F.silu(time if row_BD is None else time + row_BD)
