"""A decoder that samples: flow matching on pixel patches, given K latent tokens and the caption.

Legend: B batch, N image patches, P = 3 p^2 numbers a patch, K latent tokens, T text tokens, D
width, S = N + K + T. Time t is 0 at the image and 1 at the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from textok.config import DecodingConfig, TokenizerConfig
from textok.config.check import require, whole_number
from textok.config.generator import ObjectiveConfig
from textok.diffusion import Flow
from textok.diffusion.samplers import ddim, dpmpp, euler, heun
from textok.nn.adaptive_block import DiTBlock, FinalLayer
from textok.nn.linear import Linear
from textok.nn.positions import sincos_grid, small_normal
from textok.nn.text import TextProjection
from textok.nn.time import TimeEmbedding
from textok.tokenizer.decoder_input import DecoderInput, DecoderPass, FlowDraw
from textok.tokenizer.transformer import join

Prediction = Callable[[Tensor, Tensor], Tensor]
"""Clean patches (B, N, P) from noisy ones and their times (B,)."""


class FlowDecoder(nn.Module):
    """[noisy patches ; latents ; text] through a ViT with adaptive norms, keeping the N outputs.

    It predicts the clean patches, whatever the time (JiT, arXiv 2511.13720, section 3).
    """

    fewest_tokens = 0

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        shape, numbers = config.decoder, 3 * config.patch_size**2
        self.patch_size, self.grid = config.patch_size, config.grid
        self.objective = Flow(
            ObjectiveConfig(
                time_mean=config.flow.time_mean,
                time_std=config.flow.time_std,
                time_shift=config.flow.time_shift,
            )
        )
        self.patch_embed = nn.Sequential(
            nn.Linear(numbers, config.flow.bottleneck),
            nn.Linear(config.flow.bottleneck, shape.width),
        )
        self.patch_positions = nn.Parameter(sincos_grid(config.grid, shape.width))
        self.embed = nn.Linear(config.channels, shape.width)
        self.positions = nn.Parameter(small_normal(config.num_tokens, shape.width))
        self.text = (
            TextProjection(config.text_width, config.text_tokens, shape.width)
            if config.decoder_reads_text
            else None
        )
        self.time = TimeEmbedding(shape.width)
        shared = config.flow.shared_modulation
        self.modulation = Linear(shape.width, 6 * shape.width) if shared else None
        self.offsets = nn.Parameter(torch.zeros(shape.depth, 6 * shape.width)) if shared else None
        self.blocks = nn.ModuleList(
            DiTBlock(
                shape.width,
                shape.heads,
                reads_text=False,
                qk_norm=config.qk_norm,
                dropout=0.0,
                own_modulation=not shared,
            )
            for _ in range(shape.depth)
        )
        self.final = FinalLayer(shape.width, numbers)
        self.grad_checkpointing = False

    def set_grad_checkpointing(self, on: bool) -> None:
        self.grad_checkpointing = on

    @property
    def last_layer(self) -> Tensor:
        """The weights that make the pixels."""
        return self.final.linear.weight

    def init_weights(self) -> None:
        """Every block starts as the identity and the prediction at zero (adaLN-Zero)."""
        self.time.mlp.init_weights()
        for block in cast("list[DiTBlock]", self.blocks):
            block.init_weights()
        self.final.init_weights()
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)

    def forward(self, noisy_BNP: Tensor, t_B: Tensor, known: DecoderInput) -> Tensor:
        """The clean patches (B, N, P) in float32, predicted from those at times ``t_B``."""
        return self._run(noisy_BNP, t_B, known, 0)[0]

    def _run(
        self, noisy_BNP: Tensor, t_B: Tensor, known: DecoderInput, hidden_after: int
    ) -> tuple[Tensor, Tensor | None]:
        """What ``forward`` gives, and the patches' states after that block, counted from 1."""
        count = known.tokens.shape[1]
        weight = self.embed.weight
        latents_BKD = self.embed(known.tokens.to(weight.dtype)) + self.positions[:count]
        visible = None
        if known.keep is not None:
            visible = torch.arange(count, device=known.keep.device) < known.keep[:, None]
        text, caption = known.text, None
        if self.text is not None and text is not None:
            caption = self.text(text)
        x_BSD, visible_BS = join(
            self.patch_embed(noisy_BNP.to(weight.dtype)) + self.patch_positions,
            latents_BKD,
            caption,
            latent_keys_BK=visible,
            text_keys_BT=None if caption is None or text is None else text.attended,
        )
        time_BD = F.silu(self.time(t_B))
        patches, hidden = self.patch_positions.shape[0], None
        each = zip(self.blocks, self._vectors(time_BD), strict=True)
        for number, (block, vector) in enumerate(each, start=1):
            if self.grad_checkpointing and torch.is_grad_enabled():
                x_BSD = checkpoint(block, x_BSD, vector, None, visible_BS, use_reentrant=False)
            else:
                x_BSD = block(x_BSD, vector, None, visible_BS)
            if number == hidden_after:
                hidden = x_BSD[:, :patches]
        return self.final(x_BSD[:, :patches], self.final.modulation(time_BD)).float(), hidden

    def _vectors(self, time_BD: Tensor) -> list[Tensor]:
        """What each block is conditioned by: the time, or shifts, scales and gates made of it."""
        if self.modulation is None or self.offsets is None:
            return [time_BD] * len(self.blocks)
        return list(self.modulation(time_BD) + self.offsets[:, None])

    def training_pass(
        self,
        images_B3HW: Tensor,
        known: DecoderInput,
        draw: FlowDraw | None,
        hidden_after: int = 0,
    ) -> DecoderPass:
        """The predicted clean images, the velocity's error (B,), states after ``hidden_after``.

        Both are of ``draw.target`` where there is one.
        """
        assert draw is not None, "a flow decoder is trained at a time and a noise"
        if draw.target is None:
            clean_BNP = self.patchify(images_B3HW).float()
            t_B = self.objective.sample_timesteps(draw.time)
            noisy_BNP = self.objective.add_noise(clean_BNP, draw.noise, t_B)
        else:
            clean_BNP = self.patchify(draw.target.images)
            t_B, noisy_BNP = draw.target.times, draw.target.noisy
        text = known.text
        if text is not None:
            text = text.drop(draw.drop_text)
        shown = DecoderInput(tokens=known.tokens, text=text, keep=known.keep)
        if hidden_after:
            predicted_BNP, hidden = self._run(noisy_BNP, t_B, shown, hidden_after)
        else:
            predicted_BNP, hidden = self(noisy_BNP, t_B, shown), None
        velocity_BNP = self.objective.velocity(predicted_BNP, noisy_BNP, t_B)
        truth_BNP = self.objective.velocity(clean_BNP, noisy_BNP, t_B)
        error_B = (velocity_BNP - truth_BNP).square().mean(dim=(1, 2))
        return DecoderPass(
            out=self.unpatchify(predicted_BNP), velocity_error=error_B, hidden=hidden
        )

    def decode(
        self, known: DecoderInput, *, decoding: DecodingConfig, noise: Tensor | None
    ) -> Tensor:
        """Images (B, 3, H, W) of ``noise`` (B, N, P), not clamped."""
        assert noise is not None, "a flow decoder samples"
        *_, clean_BNP = self.path(known, noise.to(known.tokens.device), decoding)
        return self.unpatchify(clean_BNP)

    def path(
        self, known: DecoderInput, noise_BNP: Tensor, decoding: DecodingConfig
    ) -> Iterator[Tensor]:
        """Patches (B, N, P) after each step: the last ones are clean."""
        return self.follow(self.guided(known, decoding), noise_BNP, decoding)

    def follow(
        self, predict: Prediction, noise_BNP: Tensor, decoding: DecodingConfig
    ) -> Iterator[Tensor]:
        """As ``path``, by what ``predict`` takes for the clean patches."""
        times = self.objective.times(decoding.steps)
        at: list[float] = times.tolist()

        def x0(x_BNP: Tensor, index: int) -> Tensor:
            t_B = x_BNP.new_full((len(x_BNP),), at[index])
            return predict(x_BNP, t_B)

        def velocity(x_BNP: Tensor, index: int) -> Tensor:
            # Not held down near t = 0 as in training: noise would be left in the sample.
            return (x_BNP - x0(x_BNP, index)) / at[index]

        if decoding.sampler in ("euler", "heun"):
            return {"euler": euler, "heun": heun}[decoding.sampler](velocity, noise_BNP, times)
        solver = {"ddim": ddim, "dpmpp": dpmpp}[decoding.sampler]
        return solver(x0, noise_BNP, times, self.objective.alpha_sigma)

    def noise(self, seeds: Sequence[int] | None, count: int) -> Tensor:
        """(B, N, P) standard normal on the CPU, each row from its own seed; 0 for all without them.

        It has nothing in common with what a generator of latents samples from the same seed.
        Raises ValueError for what is no whole number, and for more or fewer seeds than the
        ``count`` of images.
        """
        shape = (self.grid**2, 3 * self.patch_size**2)
        whole = whole_seeds(seeds, count)
        digests = [hashlib.sha256(f"pixels/{seed}".encode()).digest() for seed in whole]
        own = [int.from_bytes(digest[:8], "little") for digest in digests]
        generators = [torch.Generator().manual_seed(seed) for seed in own]
        noise = [torch.randn(shape, generator=one) for one in generators]
        return torch.stack(noise) if noise else torch.empty(0, *shape)

    def guided(self, known: DecoderInput, decoding: DecodingConfig) -> Prediction:
        """The prediction, led away from that without caption and from that without tokens.

        Classifier-free guidance (arXiv 2207.12598) on two conditions: all + (s_c - 1)(all - all
        but the caption) + (s_t - 1)(all - all but the tokens); a pass each.
        """
        others = []
        if decoding.caption_guidance != 1 and known.text is not None and self.text is not None:
            others.append((decoding.caption_guidance - 1, known.without_text()))
        if decoding.token_guidance != 1:
            others.append((decoding.token_guidance - 1, known.without_tokens()))

        def predict(x_BNP: Tensor, t_B: Tensor) -> Tensor:
            full = guided = self(x_BNP, t_B, known)
            for strength, without in others:
                guided = guided + strength * (full - self(x_BNP, t_B, without))
            return guided

        return predict

    def patchify(self, images_B3HW: Tensor) -> Tensor:
        """(B, 3, H, W) to patches (B, N, P), row by row."""
        p = self.patch_size
        return rearrange(images_B3HW, "B c (h p) (w q) -> B (h w) (p q c)", p=p, q=p)

    def unpatchify(self, patches_BNP: Tensor) -> Tensor:
        """Patches (B, N, P) to images (B, 3, H, W)."""
        p, h = self.patch_size, self.grid
        return rearrange(patches_BNP, "B (h w) (p q c) -> B c (h p) (w q)", p=p, q=p, h=h)


def whole_seeds(seeds: Iterable[int] | None, count: int) -> list[int]:
    """The seed of each of ``count`` images, as an int; 0 for all without any.

    Raises ValueError for what is no whole number, and for more or fewer of them.
    """
    if seeds is None:
        return [0] * count
    if not isinstance(seeds, Iterable):
        raise ValueError(f"seeds is {seeds!r}: give a list, one seed for each image")
    whole = [whole_number("a seed", seed) for seed in seeds]
    require(len(whole) == count, f"{len(whole)} seeds for {count} images: give one each")
    return whole
