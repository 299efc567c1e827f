"""Model folders from strangers: one line, at once, whatever lies in them."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from textok.config import TokenizerConfig, ViTConfig, VQGANConfig
from textok.pipeline.folder import load_pipeline
from textok.runtime.pretrained import CONFIG, WEIGHTS, read_json
from textok.runtime.untrusted import check_finite, model_file, regular_file
from textok.tokenizer import Tokenizer
from textok.vqgan import VQGAN

TINY = ViTConfig(width=16, depth=1, heads=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = TokenizerConfig(
        image_size=16, patch_size=8, num_tokens=2, channels=2, text="none", encoder=TINY,
        decoder=TINY,
    )  # fmt: skip
    return Tokenizer(config).save_pretrained(tmp_path / "model")


@pytest.fixture(autouse=True)
def seconds() -> Iterator[None]:
    """Nothing here takes long, by the time of the CPU: the machine may be busy."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 15


def changed(folder: Path, name: str, value: object) -> Path:
    """``folder`` with a setting of its config, as "tokenizer.encoder.width", changed."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    *parents, last = name.split(".")
    part = config
    for parent in parents:
        part = part[parent]
    part[last] = value
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "name",
    ["image_size", "num_tokens", "channels", "encoder.width", "encoder.depth", "decoder.depth"],
)
@pytest.mark.parametrize("value", [2**20, 2**40, 10**30], ids="20 40 e30".split())
def test_huge_sizes_cost_nothing(folder: Path, name: str, value: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    changed(folder, f"tokenizer.{name}", value)
    start = time.process_time()
    with pytest.raises(ValueError, match=re.escape(str(folder))) as error:
        Tokenizer.from_pretrained(folder)
    assert time.process_time() - start < 5 and "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_huge_sizes_of_a_vqgan(tmp_path: Path) -> None:
    config = VQGANConfig(
        image_size=16,
        width=32,
        multipliers=(1,),
        res_blocks=1,
        codebook_size=4,
        codebook_channels=4,
    )
    folder = VQGAN(config).save_pretrained(tmp_path / "vqgan")
    wrong = r"does not fit its config|at most 16|<= 1000|is not a whole number"
    for name, value in {
        "width": 2**30, "res_blocks": 10**9, "codebook_size": 10**15, "codebook_channels": 10**30,
        "multipliers": [1] * 50_000,
    }.items():  # fmt: skip
        copy = shutil.copytree(folder, tmp_path / name)
        start = time.process_time()
        with pytest.raises(ValueError, match=wrong) as error:
            VQGAN.from_pretrained(changed(copy, f"vqgan.{name}", value))
        assert time.process_time() - start < 5 and len(str(error.value)) < 1000


def test_what_fits_loads(folder: Path) -> None:
    tokenizer = Tokenizer.from_pretrained(folder)
    state = load_file(folder / WEIGHTS)
    assert all(torch.equal(value, state[key]) for key, value in tokenizer.state_dict().items())
    assert {value.device.type for value in tokenizer.buffers()} <= {"cpu"}


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket"])
def test_no_file(folder: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / name
    file.unlink()
    expected = {"fifo": "a pipe", "folder": "a folder", "device": "a device", "socket": "a socket"}
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(folder)  # the address of a socket is short
        socket.socket(socket.AF_UNIX).bind(name)
    with pytest.raises(ValueError, match=f"{name}: {expected[kind]}, where a file is needed"):
        Tokenizer.from_pretrained(folder)


def test_links(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    shutil.move(folder / CONFIG, secret)
    (folder / CONFIG).symlink_to(secret)
    with pytest.raises(ValueError, match="outside the model's folder"):
        Tokenizer.from_pretrained(folder)
    (folder / CONFIG).unlink()
    shutil.move(secret, folder / "own.json")
    (folder / CONFIG).symlink_to("own.json")
    Tokenizer.from_pretrained(folder)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    Tokenizer.from_pretrained(linked)


def test_links_of_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc" / "tokenizer"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name in (CONFIG, WEIGHTS):
        shutil.move(folder / name, blobs / f"sha-{name}")
        (snapshot / name).symlink_to(Path("../../..") / "blobs" / f"sha-{name}")
    Tokenizer.from_pretrained(snapshot)
    other = tmp_path / "elsewhere" / CONFIG
    other.parent.mkdir()
    other.symlink_to(blobs / f"sha-{CONFIG}")
    with pytest.raises(ValueError, match="outside"):
        model_file(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"tokenizer": null}', "tokenizer: None is not a mapping of settings"),
        ('{"tokenizer": [1]}', "tokenizer: [1] is not a mapping of settings"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ("[" * 900 + "]" * 900, "not a mapping"),
        ('{"tokenizer": ' + "[" * 900 + "]" * 900 + "}", "is not a mapping of settings"),
        ('{"tokenizer": {"image_size": ' + "9" * 5000 + "}}", "digits"),
        ('{"tokenizer": {"%s": 1}}' % ("x" * 100_000), "no such field"),
        ('{"tokenizer": {"layout": "%s"}}' % ("x" * 100_000), "layout: 'xxx"),
        (json.dumps({"tokenizer": {"encoder": ["x" * 9] * 100_000}}), "encoder: ['xxx"),
    ],
    ids="null list deep deep-list deep-part digits key choice long".split(),
)
def test_configs_that_are_none(folder: Path, text: str, message: str) -> None:
    (folder / CONFIG).write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Tokenizer.from_pretrained(folder)
    assert str(error.value).startswith(str(folder))
    assert len(str(error.value)) < 1500 and "\n" not in str(error.value)


def test_a_file_that_is_too_long(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(ValueError, match=r"a\.json: 64 MB, at most 64 MB are read"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        regular_file(tmp_path / "b.json")


def test_numbers_that_are_none(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    state["decoder.queries"].view(-1)[3] = float("nan")
    save_file(state, folder / WEIGHTS)
    with pytest.raises(
        ValueError, match=r"decoder\.queries has 1 of 64 numbers that are NaN or in"
    ):
        Tokenizer.from_pretrained(folder)


def test_a_sum_may_overflow() -> None:
    check_finite({"a": torch.full((4,), 3e38), "b": torch.tensor([1])}, where="a")
    check_finite({"a": torch.full((4,), 6e4, dtype=torch.float16)}, where="a")
    with pytest.raises(ValueError, match="b has 2 of 3"):
        check_finite({"b": torch.tensor([torch.inf, -torch.inf, 0])}, where="a")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 10**9,) * 2)
from textok.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on memory")
def test_the_command_line_in_little_memory(folder: Path, tmp_path: Path) -> None:
    changed(folder, "tokenizer.num_tokens", 10**9)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "reconstruct", "--model", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not fit its config" in done.stderr and done.stderr.count("\n") == 1


def test_a_pipeline_with_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipeline.json")
    with pytest.raises(ValueError, match="holds no pipeline"):
        load_pipeline(tmp_path)
