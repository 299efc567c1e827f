"""Wrappers, prefixes, averages and the folders of a training: the same model comes out."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.convert.conftest import Convert, recorded
from textok.cli.main import main
from textok.convert import convert_1d_tokenizer
from textok.convert.state_dict import find_state_dict
from textok.generator.maskgit import MaskGIT
from textok.tokenizer import Tokenizer

State = dict[str, Tensor]
Same = Callable[..., list[str]]


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def shifted(state: State) -> State:
    """Other weights of the same shapes."""
    return {k: v + 1 if v.is_floating_point() else v for k, v in state.items()}


@pytest.fixture
def same(converted: Convert, tmp_path: Path) -> Same:
    """Convert ``source``, which must give the model of a fixture; returns what is warned of."""

    def notes(source: Path, name: str = "vq") -> list[str]:
        expected: Any = MaskGIT if name == "bert" else Tokenizer
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = convert_1d_tokenizer(str(source), tmp_path / "ours").state_dict()
        for key, value in expected.from_pretrained(converted(name)).state_dict().items():
            assert torch.equal(found[key], value), key
        return [str(warning.message) for warning in caught]

    return notes


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "module.",
        "model.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.module.",
        "state_dict.model._orig_mod.",
        "net.",
        "params.",
    ],
)
@pytest.mark.parametrize("name", ["vq", "bert"])
def test_prefixes_are_understood(prefix: str, name: str, same: Same, tmp_path: Path) -> None:
    torch.save(prefixed(prefix, recorded(name).state), tmp_path / "weights.bin")
    assert same(tmp_path / "weights.bin", name) == []


def test_a_compiled_part(same: Same, tmp_path: Path) -> None:
    state = recorded("vq").state
    torch.save(
        {key.replace("encoder.", "encoder._orig_mod.", 1): v for key, v in state.items()},
        tmp_path / "weights.bin",
    )
    assert same(tmp_path / "weights.bin") == []


@pytest.mark.parametrize("inner", ["", "module.", "_orig_mod."])
def test_an_average_goes_before_what_it_is_of(inner: str, same: Same, tmp_path: Path) -> None:
    """As ema-pytorch saves: both, a step and a flag."""
    state, file = recorded("vq").state, tmp_path / "weights.bin"
    both = prefixed(f"online_model.{inner}", shifted(state))
    both |= prefixed(f"ema_model.{inner}", state)
    torch.save(both | {"initted": torch.tensor([True]), "step": torch.tensor([9])}, file)
    assert same(file) == [f"{file}: the average of the weights (ema_model) is converted"]


@pytest.mark.parametrize("name", ["ema", "model_ema", "ema_model", "params_ema"])
def test_dictionaries_of_a_training(name: str, same: Same, tmp_path: Path) -> None:
    state, file = recorded("vq").state, tmp_path / "weights.pt"
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]}
    torch.save(
        {"step": 3, "optimizer": optimizer, "model": shifted(state), name: {"module": state}}, file
    )
    assert same(file) == [f"{file}: the average of the weights ({name}) is converted"]


def test_what_belongs_to_the_training_is_left_out(same: Same, tmp_path: Path) -> None:
    state = recorded("vq").state
    extras = {"loss.discriminator.0.weight": torch.zeros(3), "loss.logvar": torch.zeros(())}
    torch.save(state | extras, tmp_path / "a.bin")
    torch.save(prefixed("model.", state) | extras, tmp_path / "b.bin")
    torch.save(prefixed("module.", state | extras), tmp_path / "c.bin")
    for name in "abc":
        assert same(tmp_path / f"{name}.bin") == []


def test_an_unknown_prefix_is_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    torch.save(prefixed("tok.", recorded("vq").state), file)
    with pytest.raises(ValueError, match=r"its keys begin with 'tok\.': strip that prefix"):
        convert_1d_tokenizer(str(file), tmp_path / "ours")


@pytest.mark.parametrize("name", ["a.pth.tar", "a.BIN", "a.model", "a.bin.crdownload", "weights"])
def test_files_of_other_names(name: str, same: Same, tmp_path: Path) -> None:
    torch.save(recorded("vq").state, tmp_path / name)
    assert same(tmp_path / name) == []
    save_file(recorded("vq").state, tmp_path / name)
    assert same(tmp_path / name) == []


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_weights_in_parts(ending: str, same: Same, tmp_path: Path) -> None:
    state, folder = recorded("vq").state, tmp_path / "official"
    folder.mkdir()
    (folder / f"model.{ending}.index.json").write_text("{}")
    files = [folder / f"model-0000{part}-of-00002.{ending}" for part in (1, 2)]
    for part, file in enumerate(files):
        (save_file if ending == "safetensors" else torch.save)(
            {key: value for n, (key, value) in enumerate(state.items()) if n % 2 == part}, file
        )
    for source in (folder, *files):
        assert same(source) == []
    files[0].unlink()
    for source in (folder, files[1]):
        with pytest.raises(ValueError, match=rf"2 parts, of which {files[0].name} is missing"):
            same(source)


def training(folder: Path, *, average: bool = True) -> Path:
    """A folder of 1d-tokenizer's training: two checkpoints, the second with the fixture."""
    official = recorded("vq")
    for step, state in ((9, shifted(official.state)), (10, official.state)):
        checkpoint = folder / f"checkpoint-{step}"
        (checkpoint / "unwrapped_model").mkdir(parents=True)
        raw = shifted(state) if average else state
        save_file(raw, checkpoint / "model.safetensors")
        save_file({"logits": torch.zeros(3)}, checkpoint / "model_1.safetensors")
        torch.save(raw, checkpoint / "unwrapped_model" / "pytorch_model.bin")
        for name in ("optimizer.bin", "scheduler.bin", "optimizer_1.bin", "random_states_0.pkl"):
            torch.save({"state": {}}, checkpoint / name)
        (checkpoint / "metadata.json").write_text(json.dumps({"global_step": step}))
        if average:
            (checkpoint / "ema_model").mkdir()
            torch.save(state, checkpoint / "ema_model" / "pytorch_model.bin")
            (checkpoint / "ema_model" / "config.json").write_text(json.dumps(official.config))
    return folder


@pytest.mark.parametrize("place", ["", "checkpoint-10"])
def test_of_a_training_the_latest_average_is_taken(place: str, same: Same, tmp_path: Path) -> None:
    folder = training(tmp_path / "run")
    (note,) = same(folder / place)
    assert note == (
        f"{folder / 'checkpoint-10' / 'ema_model' / 'pytorch_model.bin'}: the average of the "
        "weights is converted, not the last ones beside it"
    )
    assert same(folder / "checkpoint-10" / "ema_model") == []  # which was asked for


@pytest.mark.parametrize(
    "place", ["model.safetensors", "unwrapped_model", "unwrapped_model/pytorch_model.bin"]
)
def test_who_names_the_last_weights_is_told_of_their_average(place: str, tmp_path: Path) -> None:
    checkpoint = training(tmp_path / "run") / "checkpoint-10"
    message = f"the last weights are converted; their average lies in {checkpoint / 'ema_model'}"
    with pytest.warns(UserWarning, match=re.escape(message)):
        convert_1d_tokenizer(str(checkpoint / place), tmp_path / "ours")


def test_a_training_without_an_average(same: Same, tmp_path: Path) -> None:
    folder = training(tmp_path / "run", average=False)
    (note,) = same(folder)
    weights = folder / "checkpoint-10" / "model.safetensors"
    assert note == f"{weights}: the latest weights are converted"
    weights.unlink()
    (weights.parent / "model_1.safetensors").unlink()
    assert same(weights.parent) == []  # in unwrapped_model


def test_the_command_says_what_it_chose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = training(tmp_path / "run")
    assert main(["convert", "1d-tokenizer", str(folder), str(tmp_path / "ours")]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"textok: note: {folder}/checkpoint-10/ema_model/pytorch_model.bin")
    assert "Tokenizer" in said.out


def test_a_tensor_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    """One number, repeated by a stride of 0, of half precision: as float32 it would be 4 TB."""
    state, file = recorded("vq").state, tmp_path / "weights.bin"
    key = next(iter(state))
    state[key] = torch.zeros(1, dtype=torch.half).expand(10**12)
    torch.save(state, file)
    with pytest.raises(ValueError, match=rf"{re.escape(key)} is 2,000,000,000,000 bytes of 2$"):
        convert_1d_tokenizer(str(file), tmp_path / "ours")


def test_a_repeated_number_of_the_right_shape(tmp_path: Path) -> None:
    state = recorded("vq").state
    key = next(key for key, value in state.items() if value.ndim == 2)
    state[key] = state[key][:1, :1].expand(state[key].shape)
    torch.save(state, tmp_path / "strided.bin")
    strided = convert_1d_tokenizer(str(tmp_path / "strided.bin"), tmp_path / "a").state_dict()
    torch.save({k: v.contiguous() for k, v in state.items()}, tmp_path / "plain.bin")
    plain = convert_1d_tokenizer(str(tmp_path / "plain.bin"), tmp_path / "b").state_dict()
    assert all(torch.equal(strided[key], value) for key, value in plain.items())


def test_a_sparse_tensor_is_refused(tmp_path: Path) -> None:
    state = recorded("vq").state
    key = next(key for key, value in state.items() if value.ndim == 2)
    state[key] = state[key].to_sparse()
    torch.save(state, tmp_path / "weights.bin")
    with pytest.raises(ValueError, match=re.escape(f"{key} is no plain tensor")):
        convert_1d_tokenizer(str(tmp_path / "weights.bin"), tmp_path / "ours")


def test_keys_by_hand() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    find = lambda content: find_state_dict(content, ["a.b."], where="w")  # noqa: E731

    assert find({"a.b.c": one, "d": two}).tensors == {"a.b.c": one, "d": two}
    assert find({"model": {"a.b.c": one}, "d": two}).tensors == {"a.b.c": one}
    found = find({"model.a.b.c": one, "ema": {"module.a.b.c": two}})
    assert (found.tensors, found.average) == ({"a.b.c": two}, "ema")
    assert find({"x.y": one}).tensors == {"x.y": one}
    assert find({"xa.b.c": one}).tensors == {"xa.b.c": one}  # no part of a key begins so
    deep: dict[str, Any] = {"a.b.c": one}
    for _ in range(2000):
        deep = {"model": deep}
    with pytest.raises(ValueError, match="w: not a state dict"):
        find(deep)
