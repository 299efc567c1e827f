"""K latent tokens and caption back to the image (TexTok section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from textok.config import DecodingConfig, TokenizerConfig
from textok.nn.positions import sincos_grid, small_normal
from textok.nn.text import TextProjection
from textok.tokenizer.decoder_input import DecoderInput, DecoderPass, FlowDraw
from textok.tokenizer.transformer import Trunk, join
from textok.types import TextFeatures


class Decoder(nn.Module):
    """[N learned patch queries ; latents ; text] through a ViT, keeping the N outputs.

    These become pixels or, with ``output: codes``, logits of the codes of a VQGAN (TiTok, arXiv
    2406.07550, section 3.2).
    """

    fewest_tokens = 1

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width = config.decoder.width
        self.patch_size = config.patch_size
        self.queries = nn.Parameter(sincos_grid(config.grid, width))
        self.embed = nn.Linear(config.channels, width)
        self.positions = nn.Parameter(small_normal(config.num_tokens, width))
        self.text = (
            TextProjection(config.text_width, config.text_tokens, width)
            if config.decoder_reads_text
            else None
        )
        self.trunk = Trunk(config.decoder, layout=config.layout, qk_norm=config.qk_norm)
        self.head: nn.Module
        self.smooth: nn.Conv2d | None = None
        self.pixels = config.output == "pixels"
        if self.pixels:
            self.head = nn.Linear(width, 3 * config.patch_size**2)
            self.smooth = nn.Conv2d(3, 3, 3, padding=1) if config.layout == "titok" else None
        else:
            codes = config.vqgan.codebook_size
            self.head = nn.Sequential(
                nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, codes)
            )

    def init_weights(self) -> None:
        """Nothing beyond what all linear layers of a tokenizer start from."""

    def set_grad_checkpointing(self, on: bool) -> None:
        self.trunk.grad_checkpointing = on

    def noise(self, seeds: Sequence[int] | None, count: int) -> Tensor | None:
        """None: this decoder samples nothing."""
        return None

    def decode(
        self, known: DecoderInput, *, decoding: DecodingConfig, noise: Tensor | None
    ) -> Tensor:
        """What ``forward`` gives; a decoder that samples nothing ignores the rest."""
        out: Tensor = self(known.tokens, known.text)
        return out

    def training_pass(
        self,
        images_B3HW: Tensor,
        known: DecoderInput,
        draw: FlowDraw | None,
        hidden_after: int = 0,
    ) -> DecoderPass:
        """What ``forward`` gives, and the patches' states after block ``hidden_after``, from 1."""
        out, hidden = self._run(known.tokens, known.text, known.keep, hidden_after)
        return DecoderPass(out=out, hidden=hidden)

    @property
    def last_layer(self) -> Tensor:
        """The weights that make the pixels, where pixels are made."""
        layer = self.head if self.smooth is None else self.smooth
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        return layer.weight

    def forward(
        self, tokens_BKC: Tensor, text: TextFeatures | None, keep_B: Tensor | None = None
    ) -> Tensor:
        """Images (B, 3, H, W) or logits (B, N, V) of codes, row by row, in float32.

        ``keep_B`` hides all but each image's first tokens.
        """
        return self._run(tokens_BKC, text, keep_B, 0)[0]

    def _run(
        self,
        tokens_BKC: Tensor,
        text: TextFeatures | None,
        keep_B: Tensor | None,
        hidden_after: int,
    ) -> tuple[Tensor, Tensor | None]:
        batch, count = tokens_BKC.shape[:2]
        latents_BKD = self.embed(tokens_BKC.to(self.embed.weight.dtype)) + self.positions[:count]
        latent_keys = None
        if keep_B is not None:
            latent_keys = torch.arange(count, device=keep_B.device) < keep_B[:, None]
        caption = None if self.text is None or text is None else self.text(text)
        x_BSD, keys_BS = join(
            self.queries.expand(batch, -1, -1),
            latents_BKD,
            caption,
            latent_keys_BK=latent_keys,
            text_keys_BT=None if caption is None or text is None else text.attended,
        )
        count = self.queries.shape[0]
        x_BND, states_BSD = self.trunk.with_hidden(
            x_BSD, keys_BS, hidden_after, read=slice(0, count)
        )
        hidden = None if states_BSD is None else states_BSD[:, :count]
        patches = self.head(x_BND)
        if not self.pixels:
            return patches.float(), hidden
        p, grid = self.patch_size, round(count**0.5)
        images = rearrange(patches, "B (h w) (p q c) -> B c (h p) (w q)", p=p, q=p, h=grid)
        return images.float() if self.smooth is None else self.smooth(images).float(), hidden
