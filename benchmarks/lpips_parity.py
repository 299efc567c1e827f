"""Whether textok's LPIPS gives the distances of the package `lpips` 0.1.4, on random pictures.

    python -m benchmarks.lpips_parity

Needs `pip install lpips` (and with it torchvision) beside the file of `textok convert lpips`. The
package's heads are its own; its backbones get the converted weights, so that nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studies.command import run_command
from textok.config.check import require
from textok.nn.lpips import BACKBONES, LPIPS, Backbone, load_lpips

SIZES = (64, 256)
PICTURES = 8


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Both implementations on the same pairs of pictures."""

    heads_equal: bool
    """Bit for bit."""
    largest: float
    """Distance of any pair."""
    difference: float
    """Largest absolute difference of any pair."""


def compare(ours: LPIPS, theirs: Any, size: int) -> Parity:
    """``theirs`` is an ``lpips.LPIPS`` of the same backbone."""
    x, y = pictures(size)
    with torch.no_grad():
        own, other = ours(x, y), theirs(x, y).flatten()
    heads = [layer.model[-1].weight.detach().flatten() for layer in theirs.lins]
    return Parity(
        heads_equal=all(map(torch.equal, heads, ours.heads)),
        largest=float(other.max()),
        difference=float((own - other).abs().max()),
    )


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Noise of several grains, and the same with more and more noise: (B, 3, size, size)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(PICTURES, 3, size, size, generator=generator) * 2 - 1
    x[::2] = torch.nn.functional.avg_pool2d(x[::2], 5, stride=1, padding=2) * 3
    noise = torch.randn(x.shape, generator=generator)
    share = torch.linspace(0.01, 1, PICTURES)[:, None, None, None]
    return x.clamp(-1, 1), (x + share * noise).clamp(-1, 1)


def package(backbone: Backbone, ours: LPIPS) -> Any:
    """The package's network with its own heads and our backbone."""
    import lpips

    theirs = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False)
    convs = [layer for layer in theirs.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    for conv, own in zip(convs, ours.convs, strict=True):
        conv.load_state_dict(own.state_dict())
    return theirs.eval()


def main() -> None:
    """Print the largest differences of each backbone and size."""
    there = importlib.util.find_spec("lpips") is not None
    require(there, "this compares with the package lpips: pip install lpips")
    print("| backbone | px | largest distance | largest difference | heads |")
    print("|---|---|---|---|---|")
    for backbone in BACKBONES:
        ours = load_lpips(backbone)
        theirs = package(backbone, ours)
        for size in SIZES:
            found = compare(ours, theirs, size)
            heads = "equal" if found.heads_equal else "**differ**"
            print(
                f"| {backbone} | {size} | {found.largest:.4f} | {found.difference:.1e} | {heads} |"
            )


if __name__ == "__main__":
    run_command(main, "benchmarks.lpips_parity")
