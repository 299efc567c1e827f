"""A network, its masks, its loss and its sampler learn a small distribution together."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.config.maskgit import MaskedLossConfig, MaskGITConfig
from textok.config.tokenizer import ViTConfig
from textok.generator import MaskGIT
from textok.generator.maskgit import draw_mask, mask_ratio, masked_loss
from textok.types import Condition

LENGTH = 4
CODES_OF = ((0, 1), (2, 3, 4))
"""A picture is one of the codes of its class, LENGTH times."""


def pictures(labels_B: Tensor) -> Tensor:
    drawn = [CODES_OF[label][torch.randint(len(CODES_OF[label]), ())] for label in labels_B]
    return torch.tensor(drawn)[:, None].expand(-1, LENGTH)


@pytest.mark.parametrize("architecture", ["bert", "uvit"])
def test_a_toy_distribution_is_learnt(architecture: Literal["bert", "uvit"]) -> None:
    torch.manual_seed(0)
    network = MaskGIT(
        MaskGITConfig(
            num_tokens=LENGTH,
            codebook_size=5,
            condition="class",
            classes=2,
            architecture=architecture,
            network=ViTConfig(width=32, depth=2, heads=2),
        )
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(300):
        labels = torch.randint(2, (64,))
        codes = pictures(labels)
        mask = draw_mask(mask_ratio(torch.rand(64)), torch.rand(64, LENGTH))
        condition = Condition(labels=labels).drop(torch.rand(64) < 0.1)
        terms = masked_loss(network(codes, mask, condition), codes, mask, MaskedLossConfig())
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(terms["loss"].item())
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])

    network.eval()
    sampling = SamplingConfig(
        sampler="maskgit", steps=4, temperature=1.0, guidance=GuidanceConfig(scale=1)
    )
    for label, known in enumerate(CODES_OF):
        labels = torch.full((300,), label)
        drawn = network.sample(Condition(labels=labels), sampling=sampling, seeds=range(300))
        first = drawn[(drawn == drawn[:, :1]).all(dim=1), 0]
        shares = [(first == code).sum().item() / 300 for code in known]
        assert sum(shares) > 0.95
        # Sure codes are kept first, which favours what is likely: shares are not quite even.
        assert shares == pytest.approx([1 / len(known)] * len(known), abs=0.2)
