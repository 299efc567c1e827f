from __future__ import annotations

import pytest
import torch

from textok.runtime.device import (
    autocast,
    check_precision,
    cuda_products,
    has_bf16,
    run_in,
    trained_in,
)


def tf32() -> tuple[bool, bool]:
    """Of matrix products, and of convolutions."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_bf16_is_for_products_alone_and_fp32_changes_nothing() -> None:
    x = torch.ones(2, 2)
    for context in (autocast, run_in):
        with context("cpu", "bf16"):
            assert (x @ x).dtype == torch.bfloat16
            assert (x + x).dtype == torch.float32
        with context("cpu", "fp32"):
            assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize(
    ("instructions", "fast"),
    [("DEFAULT", False), ("AVX2", False), ("AVX512", True), ("SVE256", True)],
)
def test_trainings_run_in_bf16_where_a_cpu_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, instructions: str, fast: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    assert has_bf16("cpu") is fast
    assert trained_in("cpu", "bf16") == ("bf16" if fast else "fp32")
    assert trained_in("cpu", "fp32") == "fp32"
    assert trained_in("cuda", "bf16") == "bf16"


def test_tf32_is_set_for_cuda_alone_and_put_back() -> None:
    before = tf32()
    assert before == (False, True)  # torch's own
    with cuda_products("cuda", tf32=False):
        assert tf32() == (False, False)
        with run_in("cuda:1", "tf32"):
            assert tf32() == (True, True)
        assert tf32() == (False, False)
        with run_in("cuda", "fp32"):
            assert tf32() == (False, False)
    assert tf32() == before
    with pytest.raises(KeyError), run_in("cuda", "tf32"):
        raise KeyError
    assert tf32() == before
    with cuda_products("cpu", tf32=False):
        assert tf32() == before


def test_tf32_is_refused_elsewhere() -> None:
    check_precision("cuda:0", "tf32")
    for device in ("cpu", torch.device("mps")):
        with pytest.raises(ValueError, match=r"tf32, which is for CUDA devices, not (cpu|mps): "):
            check_precision(device, "tf32")
        check_precision(device, "bf16")
