from __future__ import annotations

import pytest
import torch
from torch import nn

from textok.nn.block import Block
from textok.runtime.blocks import compile_network, repeated_parts


class Stack(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 8))
        self.inner = nn.Module()
        self.inner.blocks = nn.ModuleList(blocks)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    found: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: found.append(self))
    return found


def test_the_outermost_lists_hold_the_parts() -> None:
    nested = nn.Sequential(nn.ModuleList([nn.Linear(2, 2)]))
    stack = Stack(nested, nn.ReLU())
    assert list(repeated_parts(stack)) == [nested, stack.inner.blocks[1]]


def test_equal_blocks_are_compiled_each_and_others_as_one(compiled: list[nn.Module]) -> None:
    equal = Stack(Block(8, 2), Block(8, 2), Block(8, 2))
    compile_network(equal)
    assert compiled == list(equal.inner.blocks)
    compiled.clear()
    different = Stack(Block(8, 2), Block(4, 2), nn.ReLU())
    compile_network(different)
    assert compiled == [different]
    compiled.clear()
    plain = nn.Linear(2, 2)
    compile_network(plain)
    assert compiled == [plain]


def test_compiled_blocks_compute_the_same() -> None:
    torch.manual_seed(0)
    stack = Stack(Block(8, 2), Block(8, 2))
    x = torch.randn(2, 3, 8)

    def run() -> torch.Tensor:
        out = x
        for block in stack.inner.blocks:
            out = block(out)
        return out

    before = run()
    for part in repeated_parts(stack):
        part.compile(backend="eager")
    assert torch.allclose(run(), before, atol=1e-6)
