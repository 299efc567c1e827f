"""Whether textok's distances are those of torch-fidelity and clean-fid, on the same pictures.

    python -m benchmarks.fidelity_parity REAL MADE --photographs DIR

Needs `pip install torch-fidelity clean-fid` (and with them torchvision). REAL and MADE are folders
of equally many pictures of one size, MADE being what a tokenizer made of REAL; the photographs are
of any size. Inception has random weights, the same on both sides, so that nothing is downloaded:
the numbers mean nothing, their differences do. torch-fidelity has no sFID: its own pass is tapped
where sFID reads, and its own formula is applied.

Legend: n pictures, F features.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import tyro
from einops import rearrange
from PIL import Image
from torch import Tensor, nn

from studies.command import run_command
from textok.config.check import require, require_range
from textok.evaluate.markdown import markdown_table
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.image import from_8bit
from textok.metrics.inception import (
    SIZE,
    SPATIAL_CHANNELS,
    WEIGHTS,
    inception_features,
    inception_spatial_features,
    load_inception,
)
from textok.metrics.inception_score import inception_score
from textok.metrics.kernel_distance import kernel_distance
from textok.metrics.precision_recall import NEIGHBOURS, precision_recall
from textok.metrics.resizing import bicubic_antialiased

BATCH = 25
PACKAGES = ("torch-fidelity", "clean-fid", "torch", "numpy", "scipy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Features:
    """What one side's Inception found in n pictures."""

    pooled: Tensor
    """(n, 2048)."""
    spatial: Tensor
    """(n, 2023)."""
    logits: Tensor
    """(n, 1008), without bias."""


def random_weights(path: Path) -> None:
    """Write a state dict of torch-fidelity's Inception, He-initialised from a fixed seed."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.save({}, path)
    torch.manual_seed(0)
    # Made without reading weights, which the constructor does.
    with patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
        network = FeatureExtractorInceptionV3(
            "unloaded", ["2048"], feature_extractor_weights_path=str(path)
        )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    torch.save(network.state_dict(), path)


@torch.no_grad()
def theirs(weights: Path, pixels_n3HW: Tensor) -> Features:
    """By torch-fidelity's own pass over uint8 pictures."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    names = ["2048", "logits_unbiased"]
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", names, feature_extractor_weights_path=str(weights)
    )
    tapped: list[Tensor] = []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda _m, _i, out: tapped.append(out))
    found = [network(batch) for batch in pixels_n3HW.split(BATCH)]
    return Features(
        pooled=torch.cat([pooled for pooled, _ in found]),
        spatial=rearrange(torch.cat(tapped)[:, :SPATIAL_CHANNELS], "n c h w -> n (h w c)"),
        logits=torch.cat([logits for _, logits in found]),
    )


def ours(weights: Path, pixels_n3HW: Tensor) -> Features:
    """By textok's, which an evaluation with ``--feature-networks inception`` uses."""
    inception = load_inception(weights)
    pooled, spatial = inception_features(inception), inception_spatial_features(inception)
    found = []
    for pixels in pixels_n3HW.split(BATCH):
        batch = from_8bit(pixels)
        found.append((pooled.extract(batch), spatial.extract(batch)))
    features = torch.cat([one for one, _ in found])
    return Features(
        pooled=features,
        spatial=torch.cat([other for _, other in found]),
        logits=inception.logits(features),
    )


def numbers_of_theirs(real: Features, made: Features) -> dict[str, float]:
    """By torch-fidelity's formulas, over whole sets: its subsets and splits are drawn otherwise."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    def frechet(a: Tensor, b: Tensor) -> float:
        statistics = (fid_features_to_statistics(features) for features in (a, b))
        found: dict[str, float] = fid_statistics_to_metric(*statistics, verbose=False)
        return found["frechet_inception_distance"]

    size, quiet = len(real.pooled), {"verbose": False}
    within = in_span(made.pooled, real.pooled)
    kid = kid_features_to_metric(
        made.pooled, real.pooled, kid_subsets=1, kid_subset_size=size, **quiet
    )
    prc = prc_features_to_metric(made.pooled, real.pooled, prc_neighborhood=NEIGHBOURS, **quiet)
    score = isc_features_to_metric(made.logits, splits=1)
    return {
        "FID": frechet(made.pooled, real.pooled),
        "FID, in the span of the features": frechet(*within),
        "sFID": frechet(made.spatial, real.spatial),
        "KID": kid["kernel_inception_distance_mean"],
        "precision": prc["precision"],
        "recall": prc["recall"],
        "Inception Score, 1 split": score["inception_score_mean"],
    }


def numbers_of_ours(real: Features, made: Features) -> dict[str, float]:
    """By textok's formulas, as in its reports."""

    def frechet(a: Tensor, b: Tensor) -> float:
        return frechet_distance(FeatureStatistics.of(a), FeatureStatistics.of(b))

    manifold = precision_recall(real.pooled, made.pooled)
    return {
        "FID": frechet(made.pooled, real.pooled),
        "FID, in the span of the features": frechet(*in_span(made.pooled, real.pooled)),
        "sFID": frechet(made.spatial, real.spatial),
        "KID": kernel_distance(made.pooled, real.pooled, subset_size=len(real.pooled)).mean,
        "precision": manifold.precision,
        "recall": manifold.recall,
        "Inception Score, 1 split": inception_score(made.logits, splits=1).mean,
    }


def numbers_of_clean_fid(real: Features, made: Features) -> dict[str, float]:
    """By clean-fid's formulas from the features of ``ours``; its own network is a download."""
    from cleanfid import fid

    def frechet(a: Tensor, b: Tensor) -> float:
        parts = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (a.numpy(), b.numpy())]
        return float(fid.frechet_distance(*parts[0], *parts[1]))

    kid = fid.kernel_distance(made.pooled.numpy(), real.pooled.numpy(), num_subsets=1)
    return {"FID": frechet(made.pooled, real.pooled), "KID": kid}


def in_span(a_nF: Tensor, b_nF: Tensor) -> tuple[Tensor, Tensor]:
    """Both in coordinates of the space that they span together, float64: the same distance.

    Without the axes along which all are zero but for rounding, where few pictures span less than F.
    """
    both = torch.cat([a_nF, b_nF]).double()
    axes, _ = torch.linalg.qr(both.T)
    return a_nF.double() @ axes, b_nF.double() @ axes


def resizing_difference(pictures: Sequence[Tensor]) -> float:
    """The largest, in 8-bit steps, between clean-fid's resizing and ``bicubic_antialiased``."""
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    largest = 0.0
    for pixels_3HW in pictures:
        wanted = torch.from_numpy(resize(rearrange(pixels_3HW, "c h w -> h w c").numpy()))
        found = bicubic_antialiased(pixels_3HW[None].float(), SIZE)[0]
        difference = rearrange(found, "c h w -> h w c") - wanted
        largest = max(largest, float(difference.abs().max()))
    return largest


def read_pictures(folder: Path, limit: int) -> list[Tensor]:
    """The first pictures by name, (3, H, W) uint8 each."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    pixels = (np.array(Image.open(path).convert("RGB")) for path in paths[:limit])
    return [rearrange(torch.from_numpy(one), "h w c -> c h w") for one in pixels]


def read_both(folders: Sequence[Path], limit: int) -> list[Tensor]:
    """(n, 3, H, W) of each. Raises ValueError unless they are as many, two or more, of one size."""
    both = [read_pictures(folder, limit) for folder in folders]
    counts, sizes = [len(one) for one in both], {one.shape for each in both for one in each}
    for folder, count in zip(folders, counts, strict=True):
        require(count > 1, f"{folder}: {count} pictures in it, two or more are compared")
    require(
        len({*counts}) == len(sizes) == 1,
        f"{folders[0]} and {folders[1]}: {counts[0]} and {counts[1]} pictures of {len(sizes)} "
        "sizes, give as many of one size",
    )
    return [torch.stack(each) for each in both]


def main(
    real: tyro.conf.Positional[Path],
    made: tyro.conf.Positional[Path],
    /,
    *,
    photographs: Path | None = None,
    limit: int = 500,
) -> None:
    """Print the table of both sides' numbers, and the largest differences before the formulas."""
    for package in ("torch_fidelity", "cleanfid"):
        there = importlib.util.find_spec(package) is not None
        require(there, f"{package} is missing: pip install torch-fidelity clean-fid")
    require_range("limit", limit, 2)
    pictures = read_both((real, made), limit)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS
        random_weights(weights)
        own = [ours(weights, each) for each in pictures]
        other = [theirs(weights, each) for each in pictures]
    print(f"{len(pictures[0])} pictures of each; {versions()}\n")
    columns = (numbers_of_ours(*own), numbers_of_theirs(*other), numbers_of_clean_fid(*own))
    rows = [
        [name, *(f"{column[name]:.10g}" if name in column else "–" for column in columns)]
        for name in columns[0]
    ]
    print(*markdown_table(["", "textok", "torch-fidelity", "clean-fid"], rows), sep="\n")
    for name in ("pooled", "spatial", "logits"):
        pairs = zip(own, other, strict=True)
        parts = [(getattr(a, name) - getattr(b, name)).abs().max() for a, b in pairs]
        scale = max(getattr(each, name).abs().max() for each in other)
        print(f"\nlargest difference in {name} features: {max(parts):.2e} of {scale:.2e}")
    print(f"\nclean resizing of the pictures: {resizing_difference(list(pictures[0])):.2e} of 255")
    if photographs is not None:
        found = read_pictures(photographs, limit)
        print(f"\nclean resizing of {len(found)} photographs: {resizing_difference(found):.2e}")


def versions() -> str:
    """Of what the numbers depend on."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


if __name__ == "__main__":
    run_command(main, "benchmarks.fidelity_parity")
