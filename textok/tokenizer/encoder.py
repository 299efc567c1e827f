"""Image and caption to K latent tokens (TexTok section 3.2)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from textok.config import TokenizerConfig
from textok.nn.linear import Linear
from textok.nn.positions import sincos_grid, small_normal
from textok.nn.text import TextProjection
from textok.tokenizer.bottleneck import Encoded, build_bottleneck
from textok.tokenizer.transformer import Trunk, join
from textok.types import TextFeatures


class Encoder(nn.Module):
    """[image patches ; K learned queries ; text] through a ViT, keeping the K outputs."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width = config.encoder.width
        self.patch_size = config.patch_size
        self.embed = Linear(3 * config.patch_size**2, width)
        self.positions = nn.Parameter(sincos_grid(config.grid, width))
        self.queries = nn.Parameter(small_normal(config.num_tokens, width))
        self.text = (
            TextProjection(config.text_width, config.text_tokens, width)
            if config.encoder_reads_text
            else None
        )
        self.trunk = Trunk(config.encoder, layout=config.layout, qk_norm=config.qk_norm)
        self.legacy_reshape = config.legacy_reshape
        self.bottleneck = build_bottleneck(config)

    def forward(self, images_B3HW: Tensor, text: TextFeatures | None) -> Encoded:
        p = self.patch_size
        pixels = rearrange(images_B3HW, "B c (h p) (w q) -> B (h w) (p q c)", p=p, q=p)
        patches_BND = self.embed(pixels.to(self.embed.weight.dtype)) + self.positions
        queries_BKD = self.queries.expand(images_B3HW.shape[0], -1, -1)
        if self.text is None or text is None:
            x_BSD, keys_BS = join(patches_BND, queries_BKD, None)
        else:
            states_BTD = self.text(text)
            x_BSD, keys_BS = join(patches_BND, queries_BKD, states_BTD, text_keys_BT=text.attended)
        first, count = self.positions.shape[0], self.queries.shape[0]
        x_BKD = self.trunk(x_BSD, keys_BS, read=slice(first, first + count))
        if self.legacy_reshape:
            x_BKD = x_BKD.reshape(x_BKD.shape[0], -1, count).transpose(1, 2)
        return self.bottleneck(x_BKD)
