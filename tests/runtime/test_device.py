from __future__ import annotations

import torch

from textok.runtime.device import autocast


def test_bf16_is_for_products_alone_and_fp32_changes_nothing() -> None:
    x = torch.ones(2, 2)
    with autocast("cpu", "bf16"):
        assert (x @ x).dtype == torch.bfloat16
        assert (x + x).dtype == torch.float32
    with autocast("cpu", "fp32"):
        assert (x @ x).dtype == torch.float32
