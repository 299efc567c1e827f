"""MaskGIT: what the hidden codes of an image are, from those that are seen and the condition.

Legend: B batch, K tokens, V codes, S = 1 + K positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from textok.config.check import require
from textok.config.generator import SamplingConfig
from textok.config.maskgit import MaskGITConfig
from textok.generator.condition import condition_embedder, may_read_values
from textok.generator.guidance import Output, both_conditions, guidance_scale, guided
from textok.generator.maskgit.block import MaskGITBlock
from textok.generator.maskgit.sample import uniform_noise, unmask
from textok.generator.pretrained import read_generator
from textok.generator.token_generator import TokenGenerator
from textok.nn.adaptive_block import TextKeys
from textok.runtime.pretrained import restored
from textok.types import Condition, TextFeatures


@dataclass(frozen=True, kw_only=True)
class PreparedCondition:
    """What does not change from step to step."""

    token: Tensor
    """(B, D): the condition as the first of the sequence."""
    keys: tuple[TextKeys | None, ...]
    """Keys and values of the text for each block."""


class MaskGIT(TokenGenerator):
    """Bidirectional transformer over K codes (Chang et al. 2022, arXiv 2202.04200, section 3.1).

    The condition is one more token, before the others. A text is its mean there, and every block
    also attends to its states.
    """

    kind: ClassVar[str] = "maskgit"
    config: MaskGITConfig

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        config.check_filled("codebook_size")
        self.config = config
        width, depth = config.network.width, config.network.depth
        bert = config.architecture == "bert"
        self.embed = nn.Embedding(config.codebook_size + 1, width)  # the last is the mask
        self.reader = condition_embedder(config, width, pooled=True)
        self.positions = nn.Parameter(torch.empty(1 + config.num_tokens, width))
        self.norm_in = nn.LayerNorm(width, eps=1e-12) if bert else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        # U-ViT: blocks whose outputs are kept, one in the middle, as many that join what is kept,
        # the last first.
        self.skips = 0 if bert else depth // 2
        self.blocks = nn.ModuleList(
            MaskGITBlock(config, joins=not bert and index > self.skips)
            for index in range(depth if bert else depth + 1)
        )
        self.norm = nn.Identity() if bert else nn.LayerNorm(width, eps=1e-5)
        self.head = nn.Linear(width, config.codebook_size)
        self._init_weights()

    def forward(self, codes_BK: Tensor, mask_BK: Tensor, condition: Condition) -> Tensor:
        """Logits (B, K, V) in float32 of all tokens; those where ``mask`` is True are not seen.

        Raises ValueError for shapes, codes, labels or a kind of condition that this network does
        not take.
        """
        size = self.config.codebook_size
        self._check_shape(codes_BK, len(condition))
        require(
            mask_BK.shape == codes_BK.shape and mask_BK.dtype == torch.bool,
            f"the mask is {mask_BK.dtype} {tuple(mask_BK.shape)}, it must be bool like the codes' "
            f"{tuple(codes_BK.shape)}",
        )
        if may_read_values(self, codes_BK):
            low, high = int(codes_BK.min()), int(codes_BK.max())
            require(
                low >= 0 and high < size,
                f"codes go from {low} to {high}, this generator has 0 to {size - 1}: use the "
                "tokenizer that it was trained with",
            )
        token_BD, text = self.reader(condition)
        hidden_BK = torch.where(mask_BK, size, codes_BK)
        return self._logits(hidden_BK, token_BD, [text] * len(self.blocks))

    def prepare(self, condition: Condition) -> PreparedCondition:
        """Compute once what ``step`` needs.

        Raises ValueError for labels or a kind of condition that this network does not take.
        """
        token_BD, text = self.reader(condition)
        keys = tuple(block.text_keys(text) for block in self._blocks())
        return PreparedCondition(token=token_BD, keys=keys)

    def step(self, codes_BK: Tensor, prepared: PreparedCondition) -> Tensor:
        """``forward`` for codes that are V where hidden."""
        self._check_shape(codes_BK, len(prepared.token))
        return self._logits(codes_BK, prepared.token, prepared.keys)

    @torch.inference_mode()
    def sample(
        self,
        condition: Condition,
        *,
        sampling: SamplingConfig,
        seeds: Sequence[int],
        negative: Condition | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Codes (B, K) int64."""
        self.config.check_sampling(sampling)
        device, size = self.positions.device, self.config.codebook_size
        condition, negative = both_conditions(condition, negative, seeds, device)

        def outputs(condition: Condition) -> Output:
            prepared = self.prepare(condition)
            return lambda codes_BK, _: self.step(codes_BK, prepared)

        steps = range(sampling.steps)
        scales = [guidance_scale(sampling.guidance, 1 - step / len(steps)) for step in steps]
        logits = guided(outputs, condition, negative, scales, channels=size)
        codes_BK = torch.full((len(seeds), self.config.num_tokens), size, device=device)
        path = unmask(logits, codes_BK, sampling, uniform_noise(seeds, device))
        for done, drawn_BK in enumerate(path, start=1):
            codes_BK = drawn_BK
            if on_step is not None:
                on_step(done)
        return codes_BK

    @classmethod
    def from_pretrained(cls, source: str | Path) -> MaskGIT:
        """Load a folder or a hub repository, in float32 and eval mode.

        Raises ValueError naming the file, key or setting that does not fit.
        """
        config, state = read_generator(source, cls.kind, MaskGITConfig)
        return restored(partial(cls, config), state, where=source)

    def _logits(
        self,
        codes_BK: Tensor,
        token_BD: Tensor,
        texts: Sequence[TextFeatures | TextKeys | None],
    ) -> Tensor:
        embedded_BKD = self.embed(codes_BK)
        token_B1D = token_BD[:, None].to(embedded_BKD.dtype)
        x_BSD = torch.cat([token_B1D, embedded_BKD], dim=1) + self.positions
        x_BSD = self.dropout(self.norm_in(x_BSD))
        kept: list[Tensor] = []
        for index, (block, text) in enumerate(zip(self._blocks(), texts, strict=True)):
            skip = None if block.skip is None else kept.pop()
            if self.grad_checkpointing and torch.is_grad_enabled():
                x_BSD = checkpoint(block, x_BSD, text, skip, use_reentrant=False)
            else:
                x_BSD = block(x_BSD, text, skip)
            if index < self.skips:
                kept.append(x_BSD)
        return self.head(self.norm(x_BSD[:, 1:])).float()

    def _blocks(self) -> list[MaskGITBlock]:
        return cast("list[MaskGITBlock]", self.blocks)

    def _check_shape(self, codes_BK: Tensor, rows: int) -> None:
        expected = (rows, self.config.num_tokens)
        require(
            codes_BK.shape == expected,
            f"codes have shape {tuple(codes_BK.shape)}, this generator takes {expected} for a "
            f"condition of {rows} rows",
        )

    def _init_weights(self) -> None:
        """Normal 0.02 weights and zero biases, as published; zero where a text comes in."""
        nn.init.normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self._blocks():
            block.init_weights()
