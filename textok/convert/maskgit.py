"""Masked generators, as bytedance/1d-tokenizer releases them: ImageBert and U-ViT.

Their table of words holds V codes, the mask, the classes and the null class, in this order.
Legend: D width, V codes, K tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from textok.config import MaskGITConfig, SamplingConfig, TrainMaskGITConfig, ViTConfig
from textok.config.check import require
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.convert.official import Official, inside
from textok.generator.maskgit import MaskGIT

HEADS = 16
"""Of all published ones."""

PRESETS = {
    ("bert", 32): "maskgit-titok-l32",
    ("bert", 64): "maskgit-titok-b64",
    ("uvit", 128): "maskgit-titok-s128",
}
"""Of the published generators, whose sampling is that of the published FID."""

State = dict[str, Tensor]


def published_sampling(config: MaskGITConfig) -> SamplingConfig:
    """The published settings of a generator of that architecture and length, else the defaults."""
    name = PRESETS.get((config.architecture, config.num_tokens))
    if name is None:
        return SamplingConfig(sampler="maskgit")
    return load_config(TrainMaskGITConfig, [preset_path(name)]).sampling


def convert_bert(weights: Official) -> MaskGIT:
    """ImageBert. Raises ValueError for keys that do not fit."""
    theirs = "model.embeddings"
    tokens = weights.shape(f"{theirs}.position_embeddings.weight", 2)[0] - 1
    config = _config(
        weights,
        words=f"{theirs}.word_embeddings.weight",
        head="model.lm_head",
        tokens=tokens,
        architecture="bert",
        depth=weights.count("model.encoder.layer."),
    )
    width = config.network.width
    weights.ignore(f"{theirs}.position_ids")
    positions = weights.take(f"{theirs}.position_embeddings.weight", 1 + tokens, width)
    # BERT tells two sentences apart; here all is of the first.
    positions = positions + weights.take(f"{theirs}.token_type_embeddings.weight", 2, width)[0]
    state = {
        **_words(weights, f"{theirs}.word_embeddings.weight", config),
        "positions": positions,
        **weights.layer(f"{theirs}.LayerNorm", "norm_in", width),
        **weights.layer("model.lm_head", "head", config.codebook_size, width),
    }
    for index in range(config.network.depth):
        block = _bert_block(weights, f"model.encoder.layer.{index}", width)
        state |= inside(f"blocks.{index}", block)
    return _loaded(weights, config, state)


def convert_uvit(weights: Official) -> MaskGIT:
    """The generator of S-128. Raises ValueError for keys that do not fit."""
    half = weights.count("in_blocks.")
    tokens = weights.shape("pos_embed", 3)[1] - 1
    config = _config(
        weights,
        words="embeddings.weight",
        head="lm_head",
        tokens=tokens,
        architecture="uvit",
        depth=2 * half,
    )
    width = config.network.width
    state = {
        **_words(weights, "embeddings.weight", config),
        "positions": weights.take("pos_embed", 1, 1 + tokens, width)[0],
        **weights.layer("norm", "norm", width),
        **weights.layer("lm_head", "head", config.codebook_size, width),
    }
    first = [f"in_blocks.{index}" for index in range(half)]
    second = [f"out_blocks.{index}" for index in range(half)]
    for index, theirs in enumerate([*first, "mid_block", *second]):
        block = _uvit_block(weights, theirs, width)
        if theirs in second:
            block |= weights.layer(f"{theirs}.skip_linear", "skip", width, 2 * width)
        state |= inside(f"blocks.{index}", block)
    return _loaded(weights, config, state)


def _config(
    weights: Official,
    *,
    words: str,
    head: str,
    tokens: int,
    architecture: Literal["bert", "uvit"],
    depth: int,
) -> MaskGITConfig:
    count, width = weights.shape(words, 2)
    codes = weights.shape(f"{head}.weight", 2)[0]
    classes = count - codes - 2
    require(
        classes > 0,
        f"{weights.where}: {count} words for {codes} codes leave no class",
    )
    heads = weights.setting("model.generator.num_attention_heads", int) or HEADS
    return MaskGITConfig(
        num_tokens=tokens,
        condition="class",
        classes=classes,
        codebook_size=codes,
        architecture=architecture,
        network=ViTConfig(width=width, depth=depth, heads=heads),
    )


def _words(weights: Official, key: str, config: MaskGITConfig) -> State:
    codes, classes = config.codebook_size, config.classes
    words = weights.take(key, codes + 1 + classes + 1, config.network.width)
    return {"embed.weight": words[: codes + 1], "reader.table.weight": words[codes + 1 :]}


def _bert_block(weights: Official, theirs: str, width: int) -> State:
    qkv = [
        weights.layer(f"{theirs}.attention.self.{name}", "qkv", width, width)
        for name in ("query", "key", "value")
    ]
    return {
        "attention.qkv.weight": torch.cat([part["qkv.weight"] for part in qkv]),
        "attention.qkv.bias": torch.cat([part["qkv.bias"] for part in qkv]),
        **weights.layer(f"{theirs}.attention.output.dense", "attention.out", width, width),
        **weights.layer(f"{theirs}.attention.output.LayerNorm", "norm1", width),
        **weights.layer(f"{theirs}.intermediate.dense", "mlp.0", 4 * width, width),
        **weights.layer(f"{theirs}.output.dense", "mlp.2", width, 4 * width),
        **weights.layer(f"{theirs}.output.LayerNorm", "norm2", width),
    }


def _uvit_block(weights: Official, theirs: str, width: int) -> State:
    return {
        **weights.layer(f"{theirs}.norm1", "norm1", width),
        "attention.qkv.weight": weights.take(f"{theirs}.attn.qkv.weight", 3 * width, width),
        **weights.layer(f"{theirs}.attn.proj", "attention.out", width, width),
        **weights.layer(f"{theirs}.norm2", "norm2", width),
        **weights.layer(f"{theirs}.mlp.fc1", "mlp.0", 4 * width, width),
        **weights.layer(f"{theirs}.mlp.fc2", "mlp.2", width, 4 * width),
    }


def _loaded(weights: Official, config: MaskGITConfig, state: State) -> MaskGIT:
    weights.check()
    generator = MaskGIT(config)
    generator.load_state_dict(state)
    return generator.eval()
