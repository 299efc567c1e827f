"""The Triton kernels against the plain forms, and when they are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textok.nn import fused
from textok.nn.adaptive_block import DiTBlock
from textok.nn.block import SelfAttention


@pytest.fixture(scope="module")
def differences() -> dict[str, float]:
    pytest.importorskip("triton", reason="Triton (285 MB) is not installed: pip install triton")
    run = subprocess.run(
        [sys.executable, "-m", "tests.nn.interpret_fused"],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", ["m", "g", "a", "heads", "text", "class"])
def test_a_kernel_gives_what_the_plain_form_gives(differences: dict[str, float], name: str) -> None:
    assert differences[name] < 2e-5


@pytest.mark.parametrize("name", ["m", "g", "a"])
def test_in_bf16_a_kernel_rounds_inputs_and_result_alone(
    differences: dict[str, float], name: str
) -> None:
    # Of numbers up to 30, inputs and results rounded to 8 bits.
    assert 1e-3 < differences[f"bf16 {name}"] < 0.15


def test_every_step_of_a_network_runs_by_kernels(differences: dict[str, float]) -> None:
    # 2 steps; by 2 blocks, 4 kernels each for a class and 5 with a text between; and the last norm.
    assert differences["class, started"] == 2 * (2 * 4 + 1)
    assert differences["text, started"] == 2 * (2 * 5 + 1)


def test_the_plain_form_runs_where_kernels_cannot() -> None:
    """On a CPU, with gradients, in other types: ``fused`` changes nothing."""
    block = DiTBlock(16, 2, reads_text=False, qk_norm=True, dropout=0.0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, modulation = torch.randn(2, 3, 16), torch.randn(2, 96)
    fused.use_fused(block, True)
    assert block.fused and block.attention.fused
    with torch.inference_mode():
        found = block.apply_prepared(x, modulation, None)
        fused.use_fused(block, False)
        assert not block.fused and not block.attention.fused
        assert torch.equal(found, block.apply_prepared(x, modulation, None))


@pytest.mark.parametrize("read", [None, slice(0, 2)])
def test_keys_are_whole_where_some_outputs_are_made_alone(
    read: slice | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last block of a tokenizer makes the patches alone, of all tokens and texts."""
    real, started = fused.norm_heads, list[torch.Size]()

    def kernel(q: Tensor, k: Tensor, *weights: Tensor, eps: float) -> tuple[Tensor, ...]:
        """As the kernel, which counts positions by the queries."""
        assert q.shape == k.shape
        started.append(q.shape)
        pairs = zip((q, k), weights, strict=True)
        return tuple(F.rms_norm(one, one.shape[-1:], weight, eps) for one, weight in pairs)

    attention = SelfAttention(16, 2, qk_norm=True)
    x = torch.randn(2, 5, 16)
    with torch.inference_mode():
        expected = attention(x, None, read)
        monkeypatch.setattr(fused, "usable", lambda _: True)
        monkeypatch.setattr(fused, "norm_heads", kernel)
        fused.use_fused(attention, True)
        torch.testing.assert_close(attention(x, None, read), expected)
    assert len(started) == (read is None)
    with pytest.raises(AssertionError):
        real(x[:, :2], x, x[0, 0], x[0, 0], eps=1e-6)


def test_what_kernels_take() -> None:
    with torch.inference_mode():
        there = torch.empty(2, 3, 16, device="meta")
        assert not fused.usable(there)  # neither CUDA nor interpreted
        assert not fused.usable(torch.ones(2, 3, 16))


def test_kernels_are_compiled_for_a_gpu_that_is_not_there() -> None:
    """For an H100 or H200, at the sizes of DiT-XL in bf16."""
    pytest.importorskip("triton", reason="Triton (285 MB) is not installed: pip install triton")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from textok.nn.fused_kernels import adaptive, norm_heads

    whole = ("tokens", "length", "places", "gate_step", "shift_step", "scale_step")
    types = dict.fromkeys((*whole, "image_step", "head_step", "place_step"), "i32")
    types["eps"] = "fp32"
    sizes = {"WIDTH": 1152, "BLOCK": 2048}
    heads = {"HEADS": 16, "WIDTH": 72, "ROWS": 16, "BLOCK": 128}
    cases = [
        (adaptive, {"GATED": True, "NORM": True, **sizes}),
        (adaptive, {"GATED": False, "NORM": True, **sizes}),
        (adaptive, {"GATED": True, "NORM": False, **sizes}),
        (norm_heads, heads),
    ]
    for kernel, fixed in cases:
        signature = {name: types.get(name, "*bf16") for name in kernel.arg_names}
        signature.update(dict.fromkeys(fixed, "constexpr"))
        source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert len(made.asm["cubin"]) > 1000


def test_what_is_lacking_is_told_in_a_line() -> None:
    """On a CPU, where Triton is missing or does not run."""
    why = fused.lacking(torch.device("cpu"))
    assert why and "\n" not in why
