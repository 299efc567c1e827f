from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from textok.latents import load_latents, save_latents
from textok.types import Latents


@pytest.mark.parametrize("logvar", [None, torch.randn(2, 4, 3)])
def test_latents_survive_the_disk(tmp_path: Path, logvar: torch.Tensor | None) -> None:
    path = tmp_path / "tokens.safetensors"
    latents = Latents(mean=torch.randn(2, 4, 3).half(), logvar=logvar)
    save_latents(path, latents, ["a café", ""])
    found, captions = load_latents(path)

    assert torch.equal(found.mean, latents.mean)
    assert found.mean.dtype == torch.float16
    assert (found.logvar is None) == (logvar is None)
    assert logvar is None or torch.equal(found.logvar, logvar)
    assert captions == ["a café", ""]
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["num_tokens"] == "4"


def test_codes_are_int32_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "tokens.safetensors"
    codes = torch.tensor([[5, 0], [70_000, 1]])
    save_latents(path, Latents(mean=torch.zeros(2, 2, 3), codes=codes), ["", ""])
    found, _ = load_latents(path)

    assert found.codes is not None and found.codes.dtype == torch.int64
    assert torch.equal(found.codes, codes)
    with safe_open(path, framework="pt") as file:
        assert file.get_tensor("codes").dtype == torch.int32


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.safetensors"
    path.write_bytes(b"no tokens at all")

    with pytest.raises(ValueError, match=r"tokens\.safetensors: not a file of latents"):
        load_latents(path)
