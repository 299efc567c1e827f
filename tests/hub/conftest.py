from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from tests.hub.server import Hub, running
from textok.config import TokenizerConfig, ViTConfig
from textok.tokenizer import Tokenizer

TOKEN = "hf_made_up_for_this_test"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, in place of the real one, with an empty cache of downloads."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with running(Hub(TOKEN)) as served:
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", served.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield served


def tiny_tokenizer(seed: int = 0) -> Tokenizer:
    torch.manual_seed(seed)
    vit = ViTConfig(width=32, depth=1, heads=2)
    return Tokenizer(
        TokenizerConfig(
            image_size=16,
            patch_size=8,
            num_tokens=4,
            channels=2,
            text="none",
            encoder=vit,
            decoder=vit,
        )
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_tokenizer().save_pretrained(tmp_path / "model")
