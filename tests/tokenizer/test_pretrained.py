"""Tokenizers on disk: exact round trip, other image sizes, and loads that do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from textok.config import TextConfig, TokenizerConfig, ViTConfig
from textok.nn.positions import resize_grid, sincos_grid
from textok.tokenizer import Tokenizer

SMALL = ViTConfig(width=32, depth=1, heads=2)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=4,
    channels=2,
    text_width=6,
    text_tokens=3,
    encoder=SMALL,
    decoder=SMALL,
    nested=True,
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Tokenizer, Path]:
    torch.manual_seed(0)
    model = Tokenizer(CONFIG, text=TextConfig(max_tokens=3))
    return model, model.save_pretrained(tmp_path / "model")


def test_round_trip_is_exact(saved: tuple[Tokenizer, Path]) -> None:
    model, folder = saved
    again = Tokenizer.from_pretrained(folder)
    assert (again.config, again.text_config) == (model.config, model.text_config)
    assert not again.training
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert "4 tokens x 2 = 8 numbers" in (folder / "README.md").read_text()


def test_what_it_was_trained_with_travels_with_it(
    saved: tuple[Tokenizer, Path], tmp_path: Path
) -> None:
    model, folder = saved
    assert Tokenizer.from_pretrained(folder).trained_with == ("unknown",)
    model.trained_with = ("convnext", "lpips_vgg")
    again = Tokenizer.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.trained_with == ("convnext", "lpips_vgg")
    model.trained_with = ()
    assert Tokenizer.from_pretrained(model.save_pretrained(tmp_path / "none")).trained_with == ()


@pytest.mark.parametrize("note", ["lpips_vgg", {"lpips_vgg": 1}, [1]])
def test_a_note_that_is_no_list_of_names(note: object, saved: tuple[Tokenizer, Path]) -> None:
    path = saved[1] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"trained_with": note}))
    with pytest.raises(
        ValueError, match=r"config\.json: trained_with is .*make it a list of names"
    ):
        Tokenizer.from_pretrained(saved[1])
    del config["trained_with"]  # as folders were before
    path.write_text(json.dumps(config))
    assert Tokenizer.from_pretrained(saved[1]).trained_with == ("unknown",)


def test_weights_can_be_stored_in_bf16(saved: tuple[Tokenizer, Path], tmp_path: Path) -> None:
    model, _ = saved
    folder = model.save_pretrained(tmp_path / "half", precision=torch.bfloat16)
    assert {v.dtype for v in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    loaded = Tokenizer.from_pretrained(folder).decoder.head.weight
    assert torch.equal(loaded, model.decoder.head.weight.to(torch.bfloat16).float())


def test_other_image_size_keeps_the_model_and_resizes_the_grid(
    saved: tuple[Tokenizer, Path],
) -> None:
    model, folder = saved
    larger = Tokenizer.from_pretrained(folder, image_size=32)
    assert larger.config == dataclasses.replace(CONFIG, image_size=32)
    torch.testing.assert_close(
        larger.encoder.positions, resize_grid(model.encoder.positions.detach(), 8)
    )
    assert torch.equal(larger.encoder.queries, model.encoder.queries)
    assert larger.decode(larger.encode(torch.zeros(1, 3, 32, 32))).shape == (1, 3, 32, 32)


def test_resized_positions_interpolate_between_old_ones() -> None:
    ramp = torch.arange(4.0).repeat(4)[:, None]  # each row of the grid is 0 1 2 3
    wide = resize_grid(ramp, 8).reshape(8, 8)
    torch.testing.assert_close(wide[2:6], wide[2:3].expand(4, 8))
    assert (wide[3].diff() > 0).all()
    torch.testing.assert_close(wide[3, 3:5], torch.tensor([1.25, 1.75]), atol=0.05, rtol=0)
    assert resize_grid(ramp, 4) is ramp


def test_sincos_positions() -> None:
    table = sincos_grid(3, 8).reshape(3, 3, 8)
    expected = torch.tensor([2.0, 0.02]).sin().tolist() + torch.tensor([2.0, 0.02]).cos().tolist()
    torch.testing.assert_close(table[2, 0, :4], torch.tensor(expected))
    torch.testing.assert_close(table[0, 2, 4:], torch.tensor(expected))


def edit(folder: Path, change: dict[str, object]) -> None:
    data = json.loads((folder / "config.json").read_text())
    data["tokenizer"].update(change)
    (folder / "config.json").write_text(json.dumps(data))


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def binary_config(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")


def unknown_setting(folder: Path) -> None:
    edit(folder, {"num_token": 4})


def other_width(folder: Path) -> None:
    edit(folder, {"channels": 5})


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def missing_key(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.queries"]
    state["encoder.extra"] = torch.zeros(1)
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_config, "config.json:1: not JSON"),
        (binary_config, "config.json: not JSON but some binary file"),
        (unknown_setting, "num_token: no such field; did you mean 'num_tokens'"),
        (
            other_width,
            r"encoder.bottleneck.mean.weight is \(2, 32\), the config asks for \(5, 32\)",
        ),
        (no_weights, "model.safetensors: no such file"),
        (cut_weights, "damaged or not safetensors"),
        (missing_key, "missing encoder.queries; unknown encoder.extra"),
    ],
)
def test_a_load_that_does_not_fit_says_why(
    saved: tuple[Tokenizer, Path], damage: object, message: str
) -> None:
    damage(saved[1])  # type: ignore[operator]
    with pytest.raises(ValueError, match=message) as error:
        Tokenizer.from_pretrained(saved[1])
    assert "\n" not in str(error.value)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder, bundled model"):
        Tokenizer.from_pretrained(tmp_path / "nowhere")


def test_hub_repository_is_fetched_and_pushed(
    saved: tuple[Tokenizer, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, folder = saved
    asked: list[str] = []

    def fetch(repo: str, **_: object) -> str:
        asked.append(repo)
        return str(folder)

    class Hub:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, repo: str, **_: object) -> None:
            asked.append(f"create {repo}")

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: object) -> str:
            names = sorted(p.name for p in Path(folder_path).iterdir())
            asked.append(f"upload {repo_id} {names}")
            return f"hub:{repo_id}"

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert Tokenizer.from_pretrained("someone/tokenizer").config == model.config
    assert model.push_to_hub("someone/tokenizer") == "hub:someone/tokenizer"
    assert asked == [
        "someone/tokenizer",
        "create someone/tokenizer",
        "upload someone/tokenizer ['README.md', 'config.json', 'model.safetensors']",
    ]


def test_weights_of_another_file_are_refused(saved: tuple[Tokenizer, Path]) -> None:
    _, folder = saved
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1  # one bit, of a number that stays finite
    weights.write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged, the checksum differs"):
        Tokenizer.from_pretrained(folder)
    save_file(load_file(weights), weights)  # without a checksum, as files of before are
    Tokenizer.from_pretrained(folder)
    model, _ = saved
    files = [model.save_pretrained(folder.parent / f"{i}") / "model.safetensors" for i in range(8)]
    assert len({file.read_bytes() for file in files}) == 1
