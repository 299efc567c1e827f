"""The peer: the same tokenizer as one would write it from torch's own transformer layers.

Legend: B batch, N patches, K latent tokens, T text tokens, S sequence, D width, C channels.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from textok.config import TokenizerConfig, ViTConfig
from textok.types import Latents, Reconstruction, TextFeatures


class PlainViT(nn.Module):
    """``nn.TransformerEncoder`` over a sequence and, where it reads text, the caption."""

    def __init__(self, size: ViTConfig, *, text_width: int, text_tokens: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            size.width,
            size.heads,
            4 * size.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, size.depth, norm=nn.LayerNorm(size.width), enable_nested_tensor=False
        )
        self.text = nn.Linear(text_width, size.width) if text_tokens else None
        self.text_positions = nn.Parameter(torch.zeros(text_tokens, size.width))

    def forward(self, x_BSD: Tensor, text: TextFeatures | None) -> Tensor:
        """(B, S, D) to (B, S + T, D), padding masked; to (B, S, D) without text."""
        if self.text is None or text is None:
            return self.layers(x_BSD)
        text_BTD = self.text(text.states) + self.text_positions[: text.states.shape[1]]
        ours_BS = torch.zeros(x_BSD.shape[:2], dtype=torch.bool, device=x_BSD.device)
        padding_BS = torch.cat([ours_BS, ~text.mask], dim=1)
        return self.layers(torch.cat([x_BSD, text_BTD], dim=1), src_key_padding_mask=padding_BS)


class PlainTokenizer(nn.Module):
    """Has the widths, the token counts, the parameters and the calls of ``Tokenizer``.

    ``qk_norm`` is left out: torch's layers do not have it.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        patch, patches = config.patch_size, config.grid**2
        wide, high = config.encoder.width, config.decoder.width
        self.patch_size, self.grid = patch, config.grid

        self.embed = nn.Conv2d(3, wide, patch, stride=patch)
        self.positions = nn.Parameter(torch.randn(patches, wide) * 0.02)
        self.latent_queries = nn.Parameter(torch.randn(config.num_tokens, wide) * 0.02)
        self.encoder = PlainViT(
            config.encoder,
            text_width=config.text_width,
            text_tokens=config.text_tokens if config.encoder_reads_text else 0,
        )
        self.mean = nn.Linear(wide, config.channels)
        self.logvar = nn.Linear(wide, config.channels) if config.bottleneck == "kl" else None

        self.latent_embed = nn.Linear(config.channels, high)
        self.latent_positions = nn.Parameter(torch.randn(config.num_tokens, high) * 0.02)
        self.patch_queries = nn.Parameter(torch.randn(patches, high) * 0.02)
        self.decoder = PlainViT(
            config.decoder,
            text_width=config.text_width,
            text_tokens=config.text_tokens if config.decoder_reads_text else 0,
        )
        self.head = nn.Linear(high, 3 * patch**2)

    def encode(self, images_B3HW: Tensor, text: TextFeatures | None = None) -> Latents:
        """Images to Latents (B, K, C)."""
        patches_BND = rearrange(self.embed(images_B3HW), "B D h w -> B (h w) D") + self.positions
        queries_BKD = self.latent_queries.expand(len(images_B3HW), -1, -1)
        x_BSD = self.encoder(torch.cat([patches_BND, queries_BKD], dim=1), text)
        first, count = self.positions.shape[0], self.latent_queries.shape[0]
        latents_BKD = x_BSD[:, first : first + count]
        logvar = None if self.logvar is None else self.logvar(latents_BKD)
        return Latents(mean=self.mean(latents_BKD), logvar=logvar)

    def decode(self, tokens_BKC: Tensor, text: TextFeatures | None = None) -> Tensor:
        """Tokens to images (B, 3, H, W)."""
        latents_BKD = self.latent_embed(tokens_BKC) + self.latent_positions
        queries_BND = self.patch_queries.expand(len(tokens_BKC), -1, -1)
        x_BSD = self.decoder(torch.cat([queries_BND, latents_BKD], dim=1), text)
        pixels = self.head(x_BSD[:, : self.patch_queries.shape[0]])
        p, grid = self.patch_size, self.grid
        return rearrange(pixels, "B (h w) (c p q) -> B c (h p) (w q)", h=grid, p=p, q=p)

    def forward(
        self, images_B3HW: Tensor, text: TextFeatures | None = None, *, noise_BKC: Tensor
    ) -> Reconstruction:
        latents = self.encode(images_B3HW, text)
        images = self.decode(latents.sample(noise_BKC), text)
        return Reconstruction(images=images, latents=latents)
