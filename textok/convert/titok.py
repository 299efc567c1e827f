"""TiTok and TA-TiTok tokenizers, as bytedance/1d-tokenizer releases them.

TiTok: arXiv 2406.07550; TA-TiTok: arXiv 2501.07730. Their images are in [0, 1], ours in [-1, 1]:
the first and the last linear layer take that over. Legend: D width, N patches, K latent tokens.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from textok.config import VIT_SIZES, CodebookConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.config.check import require
from textok.convert.maskgit_vqgan import vqgan_decoder_config, vqgan_decoder_state
from textok.convert.official import Official, inside
from textok.tokenizer import Tokenizer

CLIP = "openai/clip-vit-large-patch14-336"
"""Whose last states of all 77 tokens TA-TiTok's decoder reads, padding too."""

State = dict[str, Tensor]


def convert_titok(weights: Official) -> Tokenizer:
    """The tokenizer. Raises ValueError for shapes of no published size and keys that do not fit."""
    config = read_config(weights)
    state = {**_encoder(weights, config), **_decoder(weights, config)}
    if config.output == "codes":
        state |= inside("vqgan_decoder", vqgan_decoder_state(weights, config.vqgan))
    weights.check()
    text = None
    if config.text != "none":
        text = TextConfig(encoder=CLIP, max_tokens=config.text_tokens, padding=True)
    tokenizer = Tokenizer(config, text=text)
    tokenizer.load_state_dict(state)
    return tokenizer.eval()


def read_config(weights: Official) -> TokenizerConfig:
    """What the tokenizer is, from its shapes; whether codes are directions, from config.json."""
    _, _, patch, _ = weights.shape("encoder.patch_embed.weight", 4)
    cells = weights.shape("encoder.positional_embedding", 2)[0] - 1
    grid = round(cells**0.5)
    require(grid * grid == cells > 0, f"{weights.where}: {cells} patches are not a square")
    _, channels = weights.shape("decoder.decoder_embed.weight", 2)
    outputs = weights.shape("encoder.conv_out.weight", 4)[0]
    two_stage = weights.has("decoder.ffn.2.")
    settings: dict[str, Any] = {}
    if weights.has("decoder.text_guidance_proj."):
        settings["text_tokens"] = weights.shape("decoder.text_guidance_positional_embedding", 2)[0]
        settings["text_width"] = weights.shape("decoder.text_guidance_proj.weight", 2)[1]
    if two_stage:
        settings["vqgan"] = vqgan_decoder_config(weights, image_size=grid * patch)
    if outputs != 2 * channels:
        settings["codebook"] = _codebook(weights, two_stage=two_stage)
    return TokenizerConfig(
        image_size=grid * patch,
        patch_size=patch,
        num_tokens=weights.shape("latent_tokens", 2)[0],
        channels=channels,
        text="decoder" if "text_width" in settings else "none",
        encoder=_size(weights, "encoder"),
        decoder=_size(weights, "decoder"),
        bottleneck="kl" if outputs == 2 * channels else "vq",
        layout="titok",
        legacy_reshape=two_stage,
        output="codes" if two_stage else "pixels",
        **settings,
    )


def _codebook(weights: Official, *, two_stage: bool) -> CodebookConfig:
    """Published two-stage tokenizers compare directions, one-stage ones do not."""
    l2_norm = weights.setting("model.vq_model.use_l2_norm", bool)
    return CodebookConfig(
        size=weights.shape("quantize.embedding.weight", 2)[0],
        l2_norm=two_stage if l2_norm is None else l2_norm,
        revive=weights.has("quantize.embed_prob"),
    )


def _size(weights: Official, side: Literal["encoder", "decoder"]) -> ViTConfig:
    width = weights.shape(f"{side}.ln_pre.weight", 1)[0]
    depth = weights.count(f"{side}.transformer.")
    known = {(size.width, size.depth): size for size in VIT_SIZES.values()}
    sizes = ", ".join(f"{name} {size.width} x {size.depth}" for name, size in VIT_SIZES.items())
    require(
        (width, depth) in known,
        f"{weights.where}: the {side} is {width} wide and {depth} deep, which is no published size "
        f"({sizes})",
    )
    return known[width, depth]


def _encoder(weights: Official, config: TokenizerConfig) -> State:
    width, tokens, patch = config.encoder.width, config.num_tokens, config.patch_size
    trunk, positions = _vit(weights, "encoder", config.encoder, config.grid)
    embed = weights.layer("encoder.patch_embed", "embed", width, 3, patch, patch)
    pixels = embed["embed.weight"].permute(0, 2, 3, 1).flatten(1)  # (D, p q c)
    queries = weights.take("latent_tokens", tokens, width)
    shifts = weights.take("encoder.latent_token_positional_embedding", tokens, width)
    state = {
        "embed.weight": pixels / 2,
        "embed.bias": embed["embed.bias"] + pixels.sum(1) / 2,
        "positions": positions,
        "queries": queries + shifts,
        **trunk,
        **inside("bottleneck", _bottleneck(weights, config)),
    }
    return inside("encoder", state)


def _bottleneck(weights: Official, config: TokenizerConfig) -> State:
    width, channels = config.encoder.width, config.channels
    if config.bottleneck == "kl":
        both = weights.pointwise("encoder.conv_out", "both", 2 * channels, width)
        (mean, logvar), (mean_bias, logvar_bias) = (
            both[f"both.{end}"].chunk(2) for end in ("weight", "bias")
        )
        return {
            "mean.weight": mean,
            "mean.bias": mean_bias,
            "logvar.weight": logvar,
            "logvar.bias": logvar_bias,
        }
    size = config.codebook.size
    state = weights.pointwise("encoder.conv_out", "mean", channels, width)
    state["codebook.vectors"] = weights.take("quantize.embedding.weight", size, channels)
    if config.codebook.revive:
        state["codebook.use"] = weights.take("quantize.embed_prob", size)
    return state


def _decoder(weights: Official, config: TokenizerConfig) -> State:
    width, tokens, channels = config.decoder.width, config.num_tokens, config.channels
    trunk, positions = _vit(weights, "decoder", config.decoder, config.grid)
    state = {
        "queries": weights.take("decoder.mask_token", 1, 1, width)[0] + positions,
        "positions": weights.take("decoder.latent_token_positional_embedding", tokens, width),
        **weights.layer("decoder.decoder_embed", "embed", width, channels),
        **trunk,
        **_head(weights, config),
    }
    if config.decoder_reads_text:
        theirs = "decoder.text_guidance"
        state |= weights.layer(f"{theirs}_proj", "text.linear", width, config.text_width)
        state["text.positions"] = weights.take(
            f"{theirs}_positional_embedding", config.text_tokens, width
        )
    return inside("decoder", state)


def _head(weights: Official, config: TokenizerConfig) -> State:
    width = config.decoder.width
    if config.output == "codes":
        return {
            **weights.pointwise("decoder.ffn.0", "head.0", 2 * width, width),
            **weights.pointwise("decoder.ffn.2", "head.2", config.vqgan.codebook_size, 2 * width),
        }
    head = weights.pointwise("decoder.ffn.0", "head", 3 * config.patch_size**2, width)
    smooth = weights.layer("decoder.conv_out", "smooth", 3, 3, 3, 3)
    return {
        **head,
        "smooth.weight": smooth["smooth.weight"] * 2,
        "smooth.bias": smooth["smooth.bias"] * 2 - 1,
    }


def _vit(weights: Official, side: str, size: ViTConfig, grid: int) -> tuple[State, Tensor]:
    """State of a trunk, and the positions (N, D) of the patches: the first is the class token's."""
    width = size.width
    positions = weights.take(f"{side}.positional_embedding", grid**2 + 1, width)
    cls = weights.take(f"{side}.class_embedding", 1, width) + positions[:1]
    state = {
        "cls": cls,
        **weights.layer(f"{side}.ln_pre", "norm_in", width),
        **weights.layer(f"{side}.ln_post", "norm", width),
    }
    for index in range(size.depth):
        block = _block(weights, f"{side}.transformer.{index}", width)
        state |= inside(f"blocks.{index}", block)
    return inside("trunk", state), positions[1:]


def _block(weights: Official, theirs: str, width: int) -> State:
    return {
        **weights.layer(f"{theirs}.ln_1", "norm1", width),
        "attention.qkv.weight": weights.take(f"{theirs}.attn.in_proj_weight", 3 * width, width),
        "attention.qkv.bias": weights.take(f"{theirs}.attn.in_proj_bias", 3 * width),
        **weights.layer(f"{theirs}.attn.out_proj", "attention.out", width, width),
        **weights.layer(f"{theirs}.ln_2", "norm2", width),
        **weights.layer(f"{theirs}.mlp.c_fc", "mlp.0", 4 * width, width),
        **weights.layer(f"{theirs}.mlp.c_proj", "mlp.2", width, 4 * width),
    }
