"""What `benchmarks.peers` measures: image tokenizers with random weights, each by its own modules.

Legend: B images, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from textok.config import TokenizerConfig, TrainTokenizerConfig
from textok.config.check import require
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.convert.official import Official
from textok.convert.source import Checkpoint
from textok.convert.titok import convert_titok
from textok.nn.linear import use_packed
from textok.tokenizer import Tokenizer

TITOKS = {
    "TiTok-S-128": ("titok-s", "k128"),
    "TiTok-B-64": ("titok-b", "k64"),
    "TiTok-L-32": ("titok-l", "k32"),
}
VAE_CHANNELS = (128, 256, 512, 512)
"""Of Stable Diffusion 1's autoencoder, which halves the image between each two."""
LARGEST = 1e-3
"""Difference of pixels in [0, 1] between equal weights, beyond which nothing is timed."""
FEWEST = 0.99
"""Share of equal codes; a near tie may be decided by rounding."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One tokenizer."""

    name: str
    network: nn.Module
    encode: Callable[[Tensor], object]
    """Images (B, 3, H, W) in [-1, 1]."""
    decode: Callable[[Tensor], Tensor]
    """Codes (B, K), or latents."""
    draw: Callable[[int], Tensor]
    """Random codes or latents of so many images."""


def read_titok(name: str) -> TokenizerConfig:
    """A two-stage TiTok of 256 px as its presets have it."""
    size, tokens = TITOKS[name]
    paths = [preset_path(one) for one in ("titok-stage1", size, tokens)]
    return load_config(TrainTokenizerConfig, paths).tokenizer


def ours(tokenizer: Tokenizer) -> Side:
    """As a ``Reconstructor`` that is loaded runs it."""
    config = tokenizer.config
    use_packed(tokenizer)

    def draw(count: int) -> Tensor:
        return torch.randint(config.codebook.size, (count, config.num_tokens))

    dtype = next(tokenizer.parameters()).dtype
    return Side(
        name="textok",
        network=tokenizer,
        encode=lambda images: tokenizer.encode(images.to(dtype)).codes,
        decode=tokenizer.decode,
        draw=draw,
    )


def official(model: Any, draw: Callable[[int], Tensor], dtype: torch.dtype) -> Side:
    """A TiTok of 1d-tokenizer, whose codebook computes in float32 whatever the weights are."""

    def encode(images: Tensor) -> Tensor:
        codes: Tensor = model.encode(((images + 1) / 2).to(dtype))[1]["min_encoding_indices"]
        return codes[:, 0]

    def decode(codes_BK: Tensor) -> Tensor:
        vectors = model.quantize.get_codebook_entry(codes_BK.flatten())
        plane = rearrange(vectors, "(B K) C -> B C 1 K", B=len(codes_BK)).contiguous()
        return 2 * model.decode(plane.to(dtype)).float() - 1

    return Side(name="1d-tokenizer", network=model, encode=encode, decode=decode, draw=draw)


def titok_pair(name: str, checkout: Path | None, dtype: torch.dtype) -> tuple[list[Side], str]:
    """1d-tokenizer's TiTok and the same weights in textok; without a checkout textok's alone.

    Also how far apart they are in float32, in words. Raises ValueError for a checkout that is none,
    and where they are not the same.
    """
    if checkout is None:
        with torch.device("cpu"):
            torch.manual_seed(0)
            return [ours(Tokenizer(read_titok(name)).to(dtype).eval())], ""
    model = build_official(name, checkout)
    tensors = model.state_dict()
    where = Checkpoint(where=str(checkout), tensors=tensors, settings={})
    tokenizer = convert_titok(Official(where))
    said = compare(official(model, ours(tokenizer).draw, torch.float32), ours(tokenizer))
    model.to(dtype).quantize.float()
    side = ours(tokenizer.to(dtype))
    return [official(model, side.draw, dtype), side], f"{name}: {said}"


def build_official(name: str, checkout: Path) -> Any:
    """1d-tokenizer's module with the weights of tests/convert/recipe.py, in eval mode."""
    found = (checkout / "modeling" / "titok.py").is_file()
    require(found, f"--one-d-tokenizer {checkout}: no checkout of bytedance/1d-tokenizer")
    try:
        compared = import_module("tests.convert.compare")
        peer = compared.Peer(checkout.resolve(), tiny=False)
    except ImportError as error:
        raise ValueError(
            f"1d-tokenizer needs {error.name}: run from the repository's root, after "
            "pip install omegaconf accelerate"
        ) from None
    return peer.build(*compared.MODELS[name])


@torch.inference_mode()
def compare(theirs: Side, own: Side) -> str:
    """How far apart two sides of equal weights are. Raises ValueError where that is too far."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 256, 256) * 2 - 1
    codes, mine = theirs.encode(images), own.encode(images)
    assert isinstance(codes, Tensor) and isinstance(mine, Tensor)
    equal = float((codes == mine).float().mean())
    drawn = codes[:1]
    apart = float((theirs.decode(drawn) - own.decode(drawn)).abs().max()) / 2
    said = f"{100 * equal:.1f} % of codes equal, pixels in [0, 1] {apart:.1e} apart"
    require(equal >= FEWEST and apart <= LARGEST, f"the two sides are not the same model: {said}")
    return said


def autoencoders(dtype: torch.dtype) -> dict[str, Callable[[], Side]]:
    """SD-VAE and DC-AE as diffusers has them. Raises ValueError without diffusers."""
    try:
        diffusers: Any = import_module("diffusers")
    except ImportError:
        raise ValueError("SD-VAE and DC-AE are diffusers': pip install 'textok[bench]'") from None

    def kl() -> Side:
        count = len(VAE_CHANNELS)
        vae = (
            diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * count,
                up_block_types=("UpDecoderBlock2D",) * count,
                block_out_channels=VAE_CHANNELS,
                layers_per_block=2,
                latent_channels=4,
            )
            .to(dtype)
            .eval()
        )
        return Side(
            name="diffusers",
            network=vae,
            encode=lambda images: vae.encode(images.to(dtype)).latent_dist.mean,
            decode=lambda latents: vae.decode(latents.to(dtype)).sample,
            draw=lambda images: torch.randn(images, 4, *[256 // 2 ** (count - 1)] * 2),
        )

    def dc(attending: int, channels: int) -> Callable[[], Side]:
        def make() -> Side:
            model = diffusers.AutoencoderDC(**dc_ae(attending, channels)).to(dtype).eval()
            side = 256 // 2 ** (2 + attending)
            return Side(
                name="diffusers",
                network=model,
                encode=lambda images: model.encode(images.to(dtype)).latent,
                decode=lambda latents: model.decode(latents.to(dtype)).sample,
                draw=lambda images: torch.randn(images, channels, side, side),
            )

        return make

    return {"SD-VAE": kl, "DC-AE f32c32": dc(3, 32), "DC-AE f64c128": dc(4, 128)}


def dc_ae(attending: int, channels: int) -> dict[str, Any]:
    """Settings of DC-AE for ImageNet (arXiv 2410.10733): ``attending`` of its stages attend."""
    blocks = ("ResBlock",) * 3 + ("EfficientViTBlock",) * attending
    widths = (128, 256, 512, 512, 1024, 1024, 2048)[: len(blocks)]
    plain: tuple[tuple[int, ...], ...] = ((),) * len(blocks)
    return {
        "latent_channels": channels,
        "encoder_block_types": blocks,
        "decoder_block_types": blocks,
        "encoder_block_out_channels": widths,
        "decoder_block_out_channels": widths,
        "encoder_layers_per_block": (0, 4, 8, 2, 2, 2, 2)[: len(blocks)],
        "decoder_layers_per_block": (0, 5, 10, 2, 2, 2, 2)[: len(blocks)],
        "encoder_qkv_multiscales": plain,
        "decoder_qkv_multiscales": plain,
        "decoder_norm_types": ("batch_norm",) * 3 + ("rms_norm",) * attending,
        "decoder_act_fns": ("relu",) * 3 + ("silu",) * attending,
    }
