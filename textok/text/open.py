"""The source of text features that the settings ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from textok.config.data import TextConfig
from textok.text.cache import FeatureCache
from textok.text.on_the_fly import FeaturesOnTheFly
from textok.text.source import TextFeaturesSource


def open_features(
    config: TextConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    one_by_one: bool = False,
    uneven: bool = False,
) -> TextFeaturesSource:
    """Features of captions, stored in ``folder`` or encoded when they are needed.

    They are stored where there is a folder and ``config.store`` is not ``nothing``. The encoder is
    loaded at the first caption that is not stored.

    Args:
        one_by_one: encode captions alone and warn about those that are cut (`FeaturesOnTheFly`).
        uneven: processes that share an encoder's weights need not call equally often.

    Raises ValueError where features are to be stored and the encoder or the folder is unavailable.
    """
    if folder is None or config.store == "nothing":
        return FeaturesOnTheFly(config, device=device, one_by_one=one_by_one, uneven=uneven)
    return FeatureCache(config, folder, device=device)


def same_features(one: TextConfig, other: TextConfig, *, any_precision: bool = False) -> bool:
    """Whether both settings give the same features, however they are stored.

    With ``any_precision`` to rounding, whatever the encoder computes in.
    """
    precision = other.precision if any_precision else one.precision
    return replace(one, drop=other.drop, precision=precision).portable == other.portable
