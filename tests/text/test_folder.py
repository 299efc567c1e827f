from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from textok.config.data import TextConfig
from textok.text.folder import find_text_model


def test_what_the_config_says_of_each_family(
    t5_folder: Path, clip_folder: Path, clip_tower_folder: Path
) -> None:
    found = [find_text_model(str(f)) for f in (t5_folder, clip_folder, clip_tower_folder)]
    assert [model.model_type for model in found] == ["t5", "clip", "clip_text_model"]
    assert [model.width for model in found] == [16, 16, 16]
    assert [model.positions for model in found] == [None, 12, 12]
    packaged = find_text_model("minilm")
    assert (packaged.model_type, packaged.width, packaged.positions) == ("bert", 384, 512)


def test_fingerprint_is_of_the_files_and_the_settings_that_count(
    t5_folder: Path, tmp_path: Path
) -> None:
    config = TextConfig(max_tokens=8)
    model = find_text_model(str(t5_folder))
    fingerprint = model.fingerprint(config)
    copy = Path(shutil.copytree(t5_folder, tmp_path / "copy"))

    moved = find_text_model(str(copy))
    assert moved.fingerprint(config) == fingerprint
    assert model.fingerprint(replace(config, drop=0.5, cache="x")) == fingerprint
    others = [replace(config, max_tokens=9), replace(config, pool=4)]
    others += [replace(config, precision="bf16"), replace(config, padding=True)]
    assert len({fingerprint, *(model.fingerprint(other) for other in others)}) == 5

    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + b" ")
        assert moved.fingerprint(config) != fingerprint, name
        (copy / name).write_bytes(content)
    assert moved.fingerprint(config) == fingerprint


def test_a_fingerprint_stays_what_it_was_when_settings_are_added() -> None:
    fingerprint = find_text_model("minilm").fingerprint(TextConfig(max_tokens=64, pool=8))
    assert fingerprint[:16] == "ca2979038f884e44"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json: not a model folder"),
        ("{", "cannot read"),
        ("[]", "is not a mapping"),
        ('{"model_type": "t5"}', "lacks 'd_model'"),
        (
            '{"model_type": "llama"}',
            "is of type 'llama'; supported: t5, mt5, umt5, clip, clip_text_model, bert",
        ),
        ("{}", "is of type None; supported: t5"),
    ],
)
def test_a_folder_that_is_no_text_model(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        find_text_model(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_missing_folder_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", asked.append, raising=False)
    for name in ("/no/such/folder", "./none", "a/b/c"):
        with pytest.raises(ValueError, match=f"there is no folder {name}"):
            find_text_model(name)
    assert asked == []


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, **_: object) -> str:
        raise LocalEntryNotFoundError(f"cannot find {name}\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable, raising=False)
    with pytest.raises(ValueError, match=r"the hub does not give it: cannot find org/model$"):
        find_text_model("org/model")


def test_a_hub_name_is_fetched_without_exports_and_without_both_kinds_of_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "d_model": 4}))
    asked: list[list[str]] = []

    def download(
        name: str, *, revision: str | None, allow_patterns: list[str], ignore_patterns: list[str]
    ) -> str:
        assert revision is None
        assert (name, ignore_patterns) == ("org/model", ["*/*"])
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download, raising=False)
    assert find_text_model("org/model").path == tmp_path
    assert asked[1:] == [["pytorch_model*.bin"]]

    (tmp_path / "model.safetensors").touch()
    asked.clear()
    find_text_model("org/model")
    assert asked == [["*.json", "*.txt", "*.model", "*.safetensors"]]
