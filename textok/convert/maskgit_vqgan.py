"""The MaskGIT-VQGAN of bytedance/1d-tokenizer: alone, and as the decoder of a two-stage tokenizer.

Their decoder counts resolutions from the finest, ours in the order in which it passes them.
"""

from __future__ import annotations

from torch import Tensor

from textok.config import VQGANConfig
from textok.config.check import require
from textok.convert.official import Official, inside
from textok.vqgan import VQGAN

IMAGE_SIZE = 256
"""Pixels a side, which convolutions do not tell."""

State = dict[str, Tensor]


def convert_vqgan(weights: Official) -> VQGAN:
    """The whole of it. Raises ValueError for keys that do not fit."""
    size = weights.setting("dataset.preprocessing.crop_size", int) or IMAGE_SIZE
    config = _config(weights, decoder="decoder", codebook="quantize", image_size=size)
    widths = [config.width * multiplier for multiplier in config.multipliers]
    state = {
        "encoder.conv_in.weight": weights.take("encoder.conv_in.weight", widths[0], 3, 3, 3),
        **_ends(weights, "encoder", config),
        **weights.layer(
            "encoder.conv_out", "encoder.conv_out", config.codebook_channels, widths[-1], 1, 1
        ),
        **inside(
            "decoder",
            _decoding_state(weights, config, decoder="decoder", codebook="quantize"),
        ),
    }
    for index, (before, after) in enumerate(zip([widths[0], *widths], widths, strict=False)):
        blocks = _blocks(weights, f"encoder.down.{index}.block", config, before, after)
        state |= inside(f"encoder.stages.{index}", blocks)
    weights.check()
    vqgan = VQGAN(config)
    vqgan.load_state_dict(state)
    return vqgan.eval()


def vqgan_decoder_config(weights: Official, *, image_size: int) -> VQGANConfig:
    """Of the decoder and the codebook that a two-stage tokenizer holds."""
    return _config(
        weights, decoder="pixel_decoder", codebook="pixel_quantize", image_size=image_size
    )


def vqgan_decoder_state(weights: Official, config: VQGANConfig) -> State:
    """State of the ``VQGANDecoder`` of ``vqgan_decoder_config``."""
    return _decoding_state(weights, config, decoder="pixel_decoder", codebook="pixel_quantize")


def _config(weights: Official, *, decoder: str, codebook: str, image_size: int) -> VQGANConfig:
    levels = weights.count(f"{decoder}.up.")
    widths = [
        weights.shape(f"{decoder}.up.{index}.block.0.norm2.weight", 1)[0]
        for index in range(max(1, levels))
    ]
    require(
        not any(width % widths[0] for width in widths),
        f"{weights.where}: its VQGAN has {widths} channels, which are no multiples of {widths[0]}",
    )
    size, channels = weights.shape(f"{codebook}.embedding.weight", 2)
    return VQGANConfig(
        image_size=image_size,
        width=widths[0],
        multipliers=tuple(width // widths[0] for width in widths),
        res_blocks=weights.count(f"{decoder}.mid."),
        codebook_size=size,
        codebook_channels=channels,
    )


def _decoding_state(
    weights: Official, config: VQGANConfig, *, decoder: str, codebook: str
) -> State:
    widths = [config.width * multiplier for multiplier in config.multipliers][::-1]
    size, channels = config.codebook_size, config.codebook_channels
    state = {
        "codebook.vectors": weights.take(f"{codebook}.embedding.weight", size, channels),
        **weights.layer(f"{decoder}.conv_in", "decoder.conv_in", widths[0], channels, 3, 3),
        **_ends(weights, decoder, config),
        **weights.layer(f"{decoder}.conv_out", "decoder.conv_out", 3, widths[-1], 3, 3),
    }
    last = len(widths) - 1
    for index, (before, after) in enumerate(zip([widths[0], *widths], widths, strict=False)):
        theirs = f"{decoder}.up.{last - index}"
        blocks = _blocks(weights, f"{theirs}.block", config, before, after)
        state |= inside(f"decoder.stages.{index}", blocks)
        if index < last:
            ours = f"decoder.up.{index}"
            state |= weights.layer(f"{theirs}.upsample_conv", ours, after, after, 3, 3)
    return state


def _ends(weights: Official, theirs: str, config: VQGANConfig) -> State:
    """What encoder and decoder have alike: blocks at the coarsest resolution, and the last norm."""
    ours = "encoder" if theirs == "encoder" else "decoder"
    middle = config.width * config.multipliers[-1]
    end = middle if ours == "encoder" else config.width
    state = _blocks(weights, f"{theirs}.mid", config, middle, middle)
    return inside(
        ours, {**inside("middle", state), **weights.layer(f"{theirs}.norm_out", "norm", end)}
    )


def _blocks(weights: Official, theirs: str, config: VQGANConfig, before: int, after: int) -> State:
    """Residual blocks of a resolution, of which the first takes ``before`` channels."""
    state: State = {}
    for index in range(config.res_blocks):
        name, inputs = f"{theirs}.{index}", before if index == 0 else after
        block = {
            **weights.layer(f"{name}.norm1", "norm1", inputs),
            "conv1.weight": weights.take(f"{name}.conv1.weight", after, inputs, 3, 3),
            **weights.layer(f"{name}.norm2", "norm2", after),
            "conv2.weight": weights.take(f"{name}.conv2.weight", after, after, 3, 3),
        }
        if inputs != after:
            shortcut = weights.take(f"{name}.nin_shortcut.weight", after, after, 1, 1)
            block["shortcut.weight"] = shortcut
        state |= inside(str(index), block)
    return state
