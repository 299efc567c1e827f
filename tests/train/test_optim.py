from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from textok.config import OptimConfig, TokenizerConfig, ViTConfig
from textok.nn.block import Block
from textok.tokenizer import Tokenizer
from textok.train.optim import Optimizer, adamw, block_matrices, lr_factor


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.25),
        (3, 1.0),
        (4, 1.0),
        (7, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2),
        (10, 0.55),
        (16, 0.1),
        (99, 0.1),
    ],
)
def test_warm_up_then_half_a_cosine(step: int, share: float) -> None:
    assert lr_factor(step, warmup=4, steps=16, final=0.1) == pytest.approx(share)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert lr_factor(0, warmup=0, steps=5, final=0.0) == 1.0


def test_a_warm_up_longer_than_the_run_only_rises() -> None:
    shares = [lr_factor(step, warmup=10, steps=4, final=0.1) for step in range(4)]
    assert shares == [0.1, 0.2, 0.3, 0.4]


@pytest.fixture
def tokenizer() -> Tokenizer:
    vit = ViTConfig(width=8, depth=1, heads=1)
    config = TokenizerConfig(
        image_size=8, patch_size=4, num_tokens=2, channels=2, text_width=4, text_tokens=3
    )
    return Tokenizer(
        TokenizerConfig(**{**vars(config), "encoder": vit, "decoder": vit, "qk_norm": True})
    )


def test_only_weights_of_layers_decay(tokenizer: Tokenizer) -> None:
    names = {parameter: name for name, parameter in tokenizer.named_parameters()}
    decayed, rest = adamw(tokenizer, OptimConfig(weight_decay=0.3), lr=1.0).param_groups
    assert decayed["weight_decay"] == 0.3 and rest["weight_decay"] == 0
    assert len(decayed["params"]) + len(rest["params"]) == len(names)
    assert all(p.ndim == 2 and names[p].endswith(".weight") for p in decayed["params"])
    spared = {names[p] for p in rest["params"] if p.ndim > 1}
    assert spared == {
        *("encoder.positions", "encoder.queries", "encoder.text.positions"),
        *("decoder.positions", "decoder.queries", "decoder.text.positions"),
    }


def test_muon_gets_the_matrices_of_the_blocks(tokenizer: Tokenizer) -> None:
    block = tokenizer.encoder.trunk.blocks[0]
    assert isinstance(block, Block)
    matrices = block_matrices(tokenizer)
    assert [tuple(m.shape) for m in matrices[:4]] == [(24, 8), (8, 8), (32, 8), (8, 32)]
    assert len(matrices) == 8


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")
def test_muon_moves_matrices_along_orthogonal_updates(tokenizer: Tokenizer) -> None:
    config = OptimConfig(name="muon", lr=1e-3, muon_lr=0.5, weight_decay=0, warmup=0, clip=0)
    optimizer = Optimizer(tokenizer, config, lr=config.lr, first=0, steps=10)
    weight = tokenizer.encoder.trunk.blocks[0].attention.out.weight
    queries = tokenizer.encoder.queries
    before, queries_before = weight.detach().clone(), queries.detach().clone()
    torch.manual_seed(0)
    for parameter in tokenizer.parameters():
        parameter.grad = torch.randn_like(parameter)
    assert optimizer.step(0) == 1e-3
    spread = torch.linalg.svdvals((weight - before) / 0.5)
    assert spread.min() > 0.4 and spread.max() < 1.4  # Newton-Schulz brings them near 1
    torch.testing.assert_close((queries - queries_before).abs(), torch.full((2, 8), 1e-3))


def test_muon_without_torch_support_is_refused(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(ValueError, match=r"install torch >= 2\.9 or use 'adamw'"):
        Optimizer(tokenizer, OptimConfig(name="muon"), lr=1.0, first=0, steps=1)


def test_gradients_are_clipped_together() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[2.0, 1.0]]), torch.tensor([2.0])
    clipping = Optimizer(layer, OptimConfig(clip=1.5), lr=1.0, first=0, steps=1)
    assert clipping.clip().item() == 3
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[1.0, 0.5]]))
    free = Optimizer(layer, OptimConfig(clip=0), lr=1.0, first=0, steps=1)
    assert free.clip().item() == pytest.approx(1.5)
    torch.testing.assert_close(layer.bias.grad, torch.tensor([1.0]))


def test_a_schedule_may_begin_later() -> None:
    layer = nn.Linear(1, 1)
    config = OptimConfig(warmup=2, final_lr_share=0.5)
    optimizer = Optimizer(layer, config, lr=8.0, first=10, steps=14)
    rates = [optimizer.step(step) for step in (10, 11, 12, 13)]
    assert rates == pytest.approx([4.0, 8.0, 8.0, 6.0])


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(12, 4), (4, 4), (4, 12), (12, 4), (4, 12)]
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon needs torch >= 2.9")
def test_muon_of_many_matrices_at_once_is_muon_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    from textok.train.muon import BatchedMuon

    # torch's own is in bfloat16 everywhere.
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    settings = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "original"}
    ours, theirs = matrices(), matrices()
    pairs = [(BatchedMuon(ours, **settings), ours), (torch.optim.Muon(theirs, **settings), theirs)]
    for step in range(3):
        for optimizer, weights in pairs:
            generator = torch.Generator().manual_seed(step)
            for weight in weights[: 4 + step % 2]:  # one has no gradient in the first step
                weight.grad = torch.randn(weight.shape, generator=generator)
            optimizer.step()
            optimizer.zero_grad()
    for mine, other, start in zip(ours, theirs, matrices(), strict=True):
        moved = (other - start).norm()
        assert moved > 0.005 * start.norm()
        assert (mine - other).norm() < 0.01 * moved
    # A run may go on from either's state.
    pairs[0][0].load_state_dict(pairs[1][0].state_dict())
