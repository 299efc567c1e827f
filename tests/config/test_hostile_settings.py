"""Settings that are no settings, and values that would take for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from textok.cli.main import main
from textok.config import DataConfig
from textok.config.read import MOST_BYTES, build, read_yaml
from textok.config.request import Request, check_words
from textok.config.run import RunConfig


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a, b]\n: 1\n", r":1: the name of a setting is a list or a mapping"),
        ("? {a: b}\n: 1\n", r":1: the name of a setting is a list or a mapping"),
        ("a: " + "[" * 5000, "nested too deeply for settings"),
        ("a: " + "{a: " * 5000, "nested too deeply for settings"),
    ],
    ids="list mapping deep-lists deep-mappings".split(),
)
def test_yaml_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.yaml:? ?{message}|a\.yaml{message}"):
        read_yaml(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="no file but a folder, pipe or device"):
            read_yaml(path)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match="4 MB, settings have at most 4 MB"):
        read_yaml(tmp_path / "long")


def test_aliases_that_grow_without_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    (tmp_path / "a.yaml").write_text("\n".join([*lines, "seed: *a59"]))
    content = read_yaml(tmp_path / "a.yaml")
    start = time.process_time()
    with pytest.raises(ValueError, match=r"seed: \[\[\[.* is not a whole number") as error:
        build(RunConfig, {"seed": content["seed"]})
    assert time.process_time() - start < 2 and len(str(error.value)) < 1000


def test_values_that_would_take_for_ever() -> None:
    for values, message in (
        ({"wait_minutes": 1e300}, r"run\.wait_minutes is 1e\+300: it must be >= 0 and <= 525600"),
        (
            {"batch_size": 10**12},
            r"run\.batch_size is 1000000000000: it must be >= 1 and <= 1048576",
        ),
        ({"seed": "9" * 200_000}, "seed: '999"),
    ):
        with pytest.raises(ValueError, match=message):
            build(RunConfig, values)
    with pytest.raises(ValueError, match=r"data\.workers is 100000000"):
        DataConfig(path="x", workers=10**8)
    for number in ("num_images", "batch_size"):
        with pytest.raises(ValueError, match=f"{number} is 1000000000000"):
            build(Request, {"prompts": ["a"], number: 10**12})
    with pytest.raises(ValueError, match="'1' is not a mapping of settings"):
        build(RunConfig, "1")  # type: ignore[arg-type]


def test_prompts() -> None:
    check_words("prompt", ("a" * 10_000, "ein Hund \N{DOG FACE}"))
    with pytest.raises(ValueError, match="prompt has 100,000 characters: at most 10,000 are read"):
        Request(prompts=("x" * 100_000,))
    with pytest.raises(ValueError, match=r"a caption is 'a .udcff b', which is no text"):
        Request(prompts=("a", "b"), captions=("a", "a \udcff b"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate", "x" * 100_000], "prompt has 100,000 characters"),
        (["generate", "a \udcff"], "a prompt is 'a \\udcff', which is no text"),
        (["generate", "a", "--negative", "\udcff"], "a prompt is '\\udcff', which is no text"),
        (["generate", "--prompts", "/dev/zero"], "/dev/zero: a device, where a file is needed"),
        (["generate", "--repeat", "/dev/zero"], "/dev/zero: a device, where a file is needed"),
        (["generate", "a", "--num-images", "1000000000000"], "num_images is 1000000000000"),
        (["reconstruct", "/dev/zero"], "/dev/zero: a device, where a file is needed"),
    ],
    ids="long byte negative prompts repeat count picture".split(),
)
def test_one_line_at_once(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    assert main(words) == 2
    assert time.process_time() - start < 20  # most of which is importing
    shown = capsys.readouterr()
    assert shown.err.startswith(f"textok: error: {message}") and shown.err.count("\n") == 1
    assert shown.out == "" and list(tmp_path.iterdir()) == []
