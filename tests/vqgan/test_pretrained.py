"""VQGANs on disk: exact round trip, the hub, and loads that do not fit."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from textok.config import VQGANConfig
from textok.vqgan import VQGAN

CONFIG = VQGANConfig(
    image_size=8, width=4, multipliers=(1, 2), res_blocks=1, codebook_size=5, codebook_channels=3
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[VQGAN, Path]:
    torch.manual_seed(0)
    model = VQGAN(CONFIG)
    return model, model.save_pretrained(tmp_path / "model")


@pytest.mark.parametrize("revive", [False, True])
def test_round_trip_is_exact(tmp_path: Path, revive: bool) -> None:
    torch.manual_seed(0)
    model = VQGAN(dataclasses.replace(CONFIG, revive=revive))
    folder = model.save_pretrained(tmp_path / "model")
    again = VQGAN.from_pretrained(folder)
    assert again.config == model.config
    assert not again.training
    assert list(again.state_dict()) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_weights_under_former_keys_load(saved: tuple[VQGAN, Path]) -> None:
    model, folder = saved
    state = load_file(folder / "model.safetensors")
    former = {
        f"painter.{key.removeprefix('decoder.')}" if key.startswith("decoder.") else key: value
        for key, value in state.items()
    }
    assert "painter.codebook.vectors" in former and former.keys() != state.keys()
    save_file(former, folder / "model.safetensors")
    from_folder, from_checkpoint = VQGAN.from_pretrained(folder), copy.deepcopy(VQGAN(CONFIG))
    from_checkpoint.load_state_dict(former)
    for key, value in model.state_dict().items():
        assert torch.equal(from_folder.state_dict()[key], value), key
        assert torch.equal(from_checkpoint.state_dict()[key], value), key


def test_weights_can_be_stored_in_bf16(saved: tuple[VQGAN, Path], tmp_path: Path) -> None:
    model, _ = saved
    folder = model.save_pretrained(tmp_path / "half", precision=torch.bfloat16)
    assert {v.dtype for v in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    loaded = VQGAN.from_pretrained(folder).codebook.vectors
    assert torch.equal(loaded, model.codebook.vectors.to(torch.bfloat16).float())


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def other_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"tokenizer": {}}')


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def edit(folder: Path, **change: object) -> None:
    data = json.loads((folder / "config.json").read_text())
    data["vqgan"].update(change)
    (folder / "config.json").write_text(json.dumps(data))


def unknown_setting(folder: Path) -> None:
    edit(folder, res_block=1)


def other_codebook(folder: Path) -> None:
    edit(folder, codebook_size=6)


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_keys(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["encoder.extra"] = state.pop("encoder.conv_in.weight")
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, "config.json: no such file; is .*model a vqgan folder"),
        (other_model, "config.json: has no 'vqgan' part; this is not a textok vqgan"),
        (broken_config, "config.json:1: not JSON"),
        (unknown_setting, "vqgan.res_block: no such field; did you mean 'res_blocks'"),
        (other_codebook, r"decoder.codebook.vectors is \(5, 3\), the config asks for \(6, 3\)"),
        (no_weights, "model.safetensors: no such file"),
        (cut_weights, "damaged or not safetensors"),
        (other_keys, "missing encoder.conv_in.weight; unknown encoder.extra"),
    ],
)
def test_a_load_that_does_not_fit_says_why(
    saved: tuple[VQGAN, Path], damage: Callable[[Path], None], message: str
) -> None:
    damage(saved[1])
    with pytest.raises(ValueError, match=message) as error:
        VQGAN.from_pretrained(saved[1])
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder, bundled model"):
        VQGAN.from_pretrained(tmp_path / "nowhere")


def test_hub_repository_is_fetched_and_pushed(
    saved: tuple[VQGAN, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = saved
    asked: list[str] = []

    def fetch(repo: str, **_: object) -> str:
        asked.append(repo)
        return str(folder)

    class Hub:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, repo: str, *, private: bool, **_: object) -> None:
            asked.append(f"create {repo} {private}")

        def repo_info(self, repo: str) -> SimpleNamespace:
            return SimpleNamespace(private=True)

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: object) -> str:
            names = sorted(path.name for path in Path(folder_path).iterdir())
            asked.append(f"upload {repo_id} {names}")
            return f"hub:{repo_id}"

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert VQGAN.from_pretrained("someone/vqgan").config == CONFIG
    assert model.push_to_hub("someone/vqgan", private=True) == "hub:someone/vqgan"
    assert asked == [
        "someone/vqgan",
        "create someone/vqgan True",
        "upload someone/vqgan ['config.json', 'model.safetensors']",
    ]
