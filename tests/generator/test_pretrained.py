"""Generators on disk: exact round trip, and loads that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from textok.config.generator import DiTShape, GeneratorConfig, ObjectiveConfig, SamplingConfig
from textok.config.maskgit import MaskGITConfig
from textok.config.tokenizer import ViTConfig
from textok.generator import DiT, MaskGIT, load_generator, sample
from textok.types import Condition, TextFeatures

CONFIG = GeneratorConfig(
    num_tokens=4,
    channels=2,
    network=DiTShape(width=32, depth=1, heads=2),
    text_width=6,
    text_tokens=3,
    pooled_text=True,
    objective=ObjectiveConfig(name="ddpm", learn_sigma=False),
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[DiT, Path]:
    torch.manual_seed(0)
    network = DiT(CONFIG)
    torch.nn.init.normal_(network.final.linear.weight)
    return network, network.save_pretrained(tmp_path / "generator")


def test_round_trip_is_exact(saved: tuple[DiT, Path]) -> None:
    network, folder = saved
    again = DiT.from_pretrained(folder)
    assert again.config == CONFIG and not again.training
    assert again.state_dict().keys() == network.state_dict().keys()
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert list(json.loads((folder / "config.json").read_text())) == ["generator"]


def test_weights_can_be_stored_in_bf16(saved: tuple[DiT, Path], tmp_path: Path) -> None:
    network, _ = saved
    folder = network.save_pretrained(tmp_path / "half", precision=torch.bfloat16)
    assert {v.dtype for v in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    loaded = DiT.from_pretrained(folder).final.linear.weight
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded, network.final.linear.weight.to(torch.bfloat16).float())


@pytest.mark.parametrize("architecture", ["bert", "uvit"])
@pytest.mark.parametrize("condition", ["class", "text"])
def test_a_masked_generator_comes_back_exactly(
    architecture: Literal["bert", "uvit"], condition: Literal["class", "text"], tmp_path: Path
) -> None:
    config = MaskGITConfig(
        num_tokens=4, codebook_size=7, condition=condition, classes=2, text_width=6, text_tokens=3,
        architecture=architecture, network=ViTConfig(width=32, depth=2, heads=2),
    )  # fmt: skip
    network = MaskGIT(config)
    folder = network.save_pretrained(tmp_path / "model" / "generator")
    assert list(json.loads((folder / "config.json").read_text())) == ["maskgit"]
    # By its own folder, and by that of a pipeline.
    for source in (folder, folder.parent):
        again = MaskGIT.from_pretrained(source)
        assert again.config == config and not again.training
        assert again.state_dict().keys() == network.state_dict().keys()
        for key, value in network.state_dict().items():
            assert torch.equal(again.state_dict()[key], value), key


def test_a_generator_of_any_kind_is_loaded_by_what_its_config_has(
    saved: tuple[DiT, Path], tmp_path: Path
) -> None:
    config = MaskGITConfig(
        num_tokens=4, codebook_size=7, condition="class", classes=2,
        network=ViTConfig(width=32, depth=1, heads=2),
    )  # fmt: skip
    masked = MaskGIT(config).save_pretrained(tmp_path / "masked" / "generator")
    found = load_generator(masked)
    assert isinstance(found, MaskGIT) and found.config == config
    assert isinstance(load_generator(masked.parent), MaskGIT)
    assert isinstance(load_generator(saved[1]), DiT)
    with pytest.raises(ValueError, match="has no 'generator' part; this is not a textok generator"):
        DiT.from_pretrained(masked)
    with pytest.raises(ValueError, match="has no 'maskgit' part; this is not a textok maskgit"):
        MaskGIT.from_pretrained(saved[1])


def test_what_a_new_generator_samples_is_what_the_loaded_one_does(
    saved: tuple[DiT, Path],
) -> None:
    network, folder = saved
    mask = torch.tensor([[True, True, False]])
    asked = Condition(text=TextFeatures(states=torch.ones(1, 3, 6), mask=mask))
    sampling = SamplingConfig(sampler="dpmpp", steps=2)
    drawn = load_generator(folder).sample(asked, sampling=sampling, seeds=[3])
    assert drawn.shape == (1, 4, 2)
    assert torch.equal(drawn, network.eval().sample(asked, sampling=sampling, seeds=[3]))
    assert torch.equal(drawn, sample(network, asked, sampling=sampling, seeds=[3]))


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    data = json.loads((folder / "config.json").read_text())
    change(data)
    (folder / "config.json").write_text(json.dumps(data))


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def a_tokenizer(folder: Path) -> None:
    edit(folder, lambda data: data.update(tokenizer=data.pop("generator")))


def unknown_setting(folder: Path) -> None:
    edit(folder, lambda data: data["generator"].update(clases=4))  # type: ignore[attr-defined]


def other_width(folder: Path) -> None:
    edit(folder, lambda data: data["generator"].update(channels=5))  # type: ignore[attr-defined]


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def missing_key(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["embed.bias"]
    state["extra"] = torch.zeros(1)
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_config, "config.json:1: not JSON"),
        (a_tokenizer, "config.json: has no 'generator' part; this is not a textok generator"),
        (unknown_setting, "generator.clases: no such field; did you mean 'classes'"),
        (other_width, r"embed.weight is \(32, 2\), the config asks for \(32, 5\)"),
        (no_config, "config.json: no such file; is .* a generator folder"),
        (no_weights, "model.safetensors: no such file"),
        (cut_weights, "damaged or not safetensors"),
        (missing_key, "missing embed.bias; unknown extra"),
    ],
)
def test_a_load_that_does_not_fit_says_why(
    saved: tuple[DiT, Path], damage: Callable[[Path], None], message: str
) -> None:
    damage(saved[1])
    with pytest.raises(ValueError, match=message) as error:
        load_generator(saved[1])
    assert "\n" not in str(error.value)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        DiT.from_pretrained(tmp_path / "nowhere")


def test_failed_writing_leaves_the_old_model(
    saved: tuple[DiT, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, folder = saved

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("textok.runtime.pretrained.save_file", full)
    with pytest.raises(OSError, match="no space"):
        network.save_pretrained(folder)
    assert torch.equal(DiT.from_pretrained(folder).embed.weight, network.embed.weight)
    assert len(list(folder.iterdir())) == 2
