"""What is no released checkpoint is refused in one line, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import metadata_load
from safetensors.torch import save_file

from tests.convert.conftest import Convert, recorded
from textok.cli.main import main
from textok.convert import convert_1d_tokenizer
from textok.tokenizer import Tokenizer


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Convert ``source``, which must fail in one line and leave nothing; returns the line."""

    def line(source: Path | str, **options: str) -> str:
        out = tmp_path / "out" / "model"
        with pytest.raises(ValueError, match=r"^\S+: ") as caught:
            convert_1d_tokenizer(str(source), out, **options)
        assert not out.exists() and not list(out.parent.glob("*"))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return line


Refused = Callable[..., str]


class Harmful:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_numbers_that_are_none_are_refused(refused: Refused, tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in recorded("vq").state.items()}
    state["latent_tokens"][0, 0] = torch.nan
    torch.save(state, tmp_path / "weights.bin")
    assert "latent_tokens has 1 of" in refused(tmp_path / "weights.bin")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_not_run(zipped: bool, refused: Refused, tmp_path: Path) -> None:
    file, made = tmp_path / "weights.bin", tmp_path / "made"
    state = {**recorded("vq").state, "extra": Harmful(made)}
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    assert "not loaded, because it holds more than weights" in refused(file)
    assert not made.exists()

    file.write_bytes(pickle.dumps(Harmful(made)))
    assert "not loaded, because it holds more than weights" in refused(file)
    assert not made.exists()


def test_missing_and_damaged_files(refused: Refused, tmp_path: Path) -> None:
    assert refused(tmp_path / "none.bin").endswith("none.bin: no such file")
    whole, file = tmp_path / "whole.bin", tmp_path / "weights.bin"
    for zipped in (True, False):
        torch.save(recorded("vq").state, whole, _use_new_zipfile_serialization=zipped)
        # Zip archives cut at 5,000 bytes give PyTorch an OSError that names no file.
        for size in (0, 1, 2, 3, 10, 60, 1000, 5000, whole.stat().st_size // 2):
            file.write_bytes(whole.read_bytes()[:size])
            message = refused(file)
            assert message.startswith(f"{file}: ")
            assert size < 2 or ("damaged" in message and "copy it again" in message)
    file.write_text("<html>Not found</html>")
    assert refused(file) == f"{file}: not a checkpoint of PyTorch"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    assert "a pointer of Git LFS" in refused(file)
    safe = tmp_path / "weights.safetensors"
    save_file(recorded("vq").state, safe)
    data = safe.read_bytes()
    for size in (0, 4, 1000, len(data) - 1):
        safe.write_bytes(data[:size])
        assert "damaged or not safetensors" in refused(safe)


def test_folders(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "official"
    folder.mkdir()
    assert "holds no weights" in refused(folder)
    for name in ("a.bin", "b.pt"):
        torch.save(recorded("vq").state, folder / name)
    assert "holds 2 files of weights (a.bin, b.pt): name one" in refused(folder)
    (folder / "b.pt").unlink()
    (folder / "config.json").write_text('{"model": {"vq_model": {"use_l2_norm": "yes"}}}')
    assert "model.vq_model.use_l2_norm is 'yes', not bool" in refused(folder)


def test_an_unreachable_hub(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    message = refused("yucornetto/tokenizer_titok_l32_imagenet")
    assert "no hub repository that can be reached (OSError)" in message
    assert "download the weights and give the file" in message


def test_a_hub_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = tmp_path / "cache"
    official.mkdir()
    save_file(recorded("vq").state, official / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(official))
    model = convert_1d_tokenizer("someone/titok", tmp_path / "ours")
    assert isinstance(model, Tokenizer) and model.config.layout == "titok"
    header = metadata_load(tmp_path / "ours" / "README.md")
    assert header is not None and header["base_model"] == ["someone/titok"]
    assert header["pipeline_tag"] == "image-feature-extraction"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("adaln_before_head.linear.weight", "a RAR generator"),
        ("diffloss.net.input_proj.weight", "a MaskGen generator"),
        ("text_embed_proj.weight", "a MaskGen generator"),
        ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
    ],
)
def test_another_checkpoint(key: str, name: str, refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    torch.save({key: torch.zeros(2, 2)}, file)
    assert name in refused(file)
    torch.save([1, 2], file)
    assert "not a state dict" in refused(file)
    torch.save({"model": {key: torch.zeros(2, 2), "epoch": 3}}, file)
    assert name in refused(file)
    torch.save({"model": {"epoch": 3}}, file)
    assert "not a state dict (model.epoch is no tensor)" in refused(file)


@pytest.mark.parametrize("name", ["two-stage", "text-kl", "bert", "uvit", "vqgan"])
def test_keys_that_do_not_fit_are_listed(name: str, refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    official = recorded(name)
    state = official.state
    norm = [key for key in state if "norm" in key.lower() or "ln_" in key][-2]
    del state[norm]
    state["a.b"] = torch.zeros(1)
    biases = [key for key in state if key.endswith("bias")][:3]
    for key in biases:
        state[key] = torch.zeros(3)
    torch.save(state, file)
    message = refused(file)
    assert "5 keys do not fit" in message and message.endswith("and 2 more")
    assert f"{biases[0]} is (3,) and should be" in message

    state = official.state
    state["a.b"] = torch.zeros(1)
    torch.save(state, file)
    assert refused(file).endswith("1 keys do not fit: unknown a.b")
    del state["a.b"], state[norm]
    torch.save(state, file)
    assert f"missing {norm}" in refused(file)


def test_sizes_that_nobody_published(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    state = recorded("vq").state
    deeper = {
        key.replace("transformer.0.", "transformer.2."): value
        for key, value in state.items()
        if key.startswith("encoder.transformer.0.")
    }
    torch.save({**state, **deeper}, file)
    assert "the encoder is 32 wide and 3 deep, which is no published size" in refused(file)
    positions = state["encoder.positional_embedding"][:-1]
    torch.save({**state, "encoder.positional_embedding": positions}, file)
    assert "15 patches are not a square" in refused(file)


def test_out_must_be_new_or_ours(tmp_path: Path) -> None:
    source = recorded("vq").write(tmp_path / "official")
    (source / "pytorch_model.bin").unlink()
    save_file(recorded("vq").state, source / "model.safetensors")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    alike = tmp_path / "alike"
    (alike / "tokenizer").mkdir(parents=True)
    for out in (source, foreign, alike):
        before = sorted(path.name for path in out.iterdir())
        with pytest.raises(ValueError, match="holds something else than a textok model"):
            convert_1d_tokenizer(str(source), out)
        assert sorted(path.name for path in out.iterdir()) == before
    (foreign / "thesis.tex").unlink()
    for _ in range(2):  # empty, then a model of ours
        convert_1d_tokenizer(str(source), foreign)
        assert {path.name for path in foreign.iterdir()} == {
            "config.json",
            "model.safetensors",
            "README.md",
        }


def test_only_a_generator_takes_a_tokenizer(
    refused: Refused, converted: Convert, tmp_path: Path
) -> None:
    source = recorded("vq").write(tmp_path / "official")
    assert "leave out --tokenizer" in refused(source, tokenizer=str(converted("vq")))


def test_wrapped_half_precision_weights(tmp_path: Path) -> None:
    file = tmp_path / "weights.ckpt"
    official = recorded("vq")
    plain = convert_1d_tokenizer(str(official.write(tmp_path / "official")), tmp_path / "plain")
    state = {f"module.{key}": value for key, value in official.state.items()}
    torch.save({"step": 1, "model": {}, "ema": state}, file)
    with pytest.warns(UserWarning, match=r"the average of the weights \(ema\) is converted"):
        wrapped = convert_1d_tokenizer(str(file), tmp_path / "wrapped")
    for key, value in wrapped.state_dict().items():
        assert torch.equal(value, plain.state_dict()[key])

    halves = {key: value.half() for key, value in state.items()}
    torch.save(halves, file)
    half = convert_1d_tokenizer(str(file), tmp_path / "half").state_dict()
    torch.save({key: value.float() for key, value in halves.items()}, file)
    full = convert_1d_tokenizer(str(file), tmp_path / "full").state_dict()
    for key, value in half.items():
        assert torch.equal(value, full[key])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recorded("kl").write(tmp_path / "official")
    assert main(["convert", "1d-tokenizer", str(source), str(tmp_path / "ours")]) == 0
    assert "Tokenizer" in capsys.readouterr().out
    assert "tokenizer" in json.loads((tmp_path / "ours" / "config.json").read_text())
    assert main(["convert", "1d-tokenizer", str(tmp_path / "x.bin"), str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err == f"textok: error: {tmp_path}/x.bin: no such file\n"
