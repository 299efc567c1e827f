from __future__ import annotations

import pytest
import torch
from torch import nn

from textok.train.ema import Ema


def weight(ema: Ema[nn.Linear]) -> float:
    return ema.module.weight.item()


def test_the_decay_warms_up() -> None:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 1.0)
    ema = Ema(layer, 0.15)
    nn.init.constant_(layer.weight, 2.0)
    ema.update(layer)  # decay 1/10: 0.1 * 1 + 0.9 * 2
    assert weight(ema) == pytest.approx(1.9)
    ema.update(layer)  # decay min(0.15, 2/11) = 0.15
    assert weight(ema) == pytest.approx(0.15 * 1.9 + 0.85 * 2)


def test_decay_zero_follows_exactly() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    ema = Ema(layer, 0.0)
    nn.init.normal_(layer.weight)
    ema.update(layer)
    assert torch.equal(ema.module.weight, layer.weight)


def test_buffers_are_copied_and_the_average_is_frozen() -> None:
    norm = nn.BatchNorm1d(2)
    ema = Ema(norm, 0.9)
    norm.running_mean.fill_(3.0)
    ema.update(norm)
    assert ema.module.running_mean.tolist() == [3.0, 3.0]
    assert not ema.module.training
    assert not any(p.requires_grad for p in ema.module.parameters())


def test_the_average_goes_on_from_its_state() -> None:
    layer = nn.Linear(1, 1)
    first, second = Ema(layer, 0.9), Ema(nn.Linear(1, 1), 0.9)
    first.update(layer)
    second.load_state_dict(first.state_dict())
    nn.init.constant_(layer.weight, 5.0)
    first.update(layer)
    second.update(layer)
    assert second.updates == 2
    assert weight(first) == weight(second)
