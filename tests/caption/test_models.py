"""A real model behind both doors: in this process, and served by transformers on loopback."""

from __future__ import annotations

import importlib.util
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.caption.conftest import asked, lines
from tests.caption.seer import WORDS, write_seer
from textok.caption import caption_images
from textok.caption.answer import Answer
from textok.caption.endpoint import Endpoint
from textok.caption.local import LocalModel
from textok.config import DataConfig
from textok.config.caption import CaptionConfig, EndpointConfig, LocalConfig
from textok.data import open_captioned_images
from textok.data.caption_files import read_captions

PICTURES = [Image.new("RGB", (40, 30), colour) for colour in ("#000", "#282828", "#787878")]


@pytest.fixture(scope="module")
def seer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seer(tmp_path_factory.mktemp("models") / "seer")


def greedy(seer: Path, **settings: Any) -> CaptionConfig:
    return asked(**{"model": str(seer), "temperature": 0, "max_tokens": 24, **settings})


def answers(model: LocalModel | Endpoint, count: int = 3) -> list[Answer]:
    given = model(PICTURES[:count])
    assert all(isinstance(answer, Answer) for answer in given) and len(given) == count
    return [answer for answer in given if isinstance(answer, Answer)]


def test_a_local_model_answers_each_picture_as_if_it_were_alone(seer: Path) -> None:
    together = answers(LocalModel(greedy(seer), LocalConfig(batch_size=2)))
    assert together == answers(LocalModel(greedy(seer), LocalConfig(batch_size=1)))
    assert len({answer.text for answer in together}) == 3  # it sees the picture
    for answer in together:
        assert set(answer.text.split()) <= set(WORDS) and not answer.cut
        assert len(answer.text.split()) < (answer.tokens_out or 0) < 24
        assert answer.tokens_in is not None and answer.tokens_in > 4


def test_prompts_of_several_lengths_do_not_disturb_each_other(
    seer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with models to which larger pictures are more tokens."""
    plain = LocalModel._message

    def longer(model: LocalModel, picture: Image.Image) -> dict[str, Any]:
        message = plain(model, picture)
        if picture is PICTURES[0]:
            message["content"][1]["text"] += " a red dog" * 4
        return message

    monkeypatch.setattr(LocalModel, "_message", longer)
    together = answers(LocalModel(greedy(seer), LocalConfig(batch_size=3)))
    assert together == answers(LocalModel(greedy(seer), LocalConfig(batch_size=1)))
    assert together[0].tokens_in == (together[1].tokens_in or 0) + 12


def test_an_answer_at_the_limit_is_cut(seer: Path) -> None:
    whole = answers(LocalModel(greedy(seer), LocalConfig()))
    short = answers(LocalModel(greedy(seer, max_tokens=3), LocalConfig()))
    for answer, other in zip(short, whole, strict=True):
        assert answer.cut and answer.tokens_out == 3
        assert answer.text.split() == other.text.split()[:3]


def test_sampling_differs_from_the_likeliest_words(seer: Path) -> None:
    torch.manual_seed(0)
    model = LocalModel(greedy(seer, temperature=1.0), LocalConfig())
    assert len({answers(model, 1)[0].text for _ in range(5)}) > 1


def test_a_data_set_by_a_local_model(seer: Path, squares: Path, tmp_path: Path) -> None:
    (squares / "broken.png").write_bytes(b"")
    config = greedy(seer, captions_per_image=2)
    summary = caption_images(
        DataConfig(path=str(squares)), tmp_path / "out", config, via=LocalConfig(batch_size=5)
    )
    assert (summary.captioned, summary.kinds) == (12, {"bad image": 1})
    captions = read_captions(tmp_path / "out")
    assert [len(texts) for texts in captions.values()] == [2] * 12
    assert {line["model"] for line in lines(tmp_path / "out")} == {str(seer)}


@pytest.mark.parametrize("name", ["nowhere", "./nowhere"])
def test_a_model_that_is_none(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(ValueError, match=f"--model {name} cannot be loaded") as error:
        LocalModel(asked(model=name), LocalConfig())
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def served(seer: Path) -> Iterator[str]:
    """`transformers serve` with that model, in a thread: its address."""
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("openai") is None:
        pytest.skip("transformers[serving] is not installed")
    from transformers.cli.serve import Serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Serve(str(seer), host="127.0.0.1", port=port, device="cpu", non_blocking=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"{address}/v1"
    server.kill_server()


def test_transformers_serve_says_the_same_as_the_local_model(seer: Path, served: str) -> None:
    config = EndpointConfig(url=served, retries=0)
    for settings in ({}, {"max_tokens": 3}):
        asked_for = greedy(seer, **settings)
        endpoint = Endpoint(asked_for, config, threading.Event())
        for given, same in zip(
            answers(endpoint, 2), answers(LocalModel(asked_for, LocalConfig()), 2), strict=True
        ):
            # JPEG moves a pixel by a level or so; these words do not hang on that.
            assert (given.text, given.cut) == (same.text, same.cut)
            assert given.tokens_in == same.tokens_in and given.tokens_out in (
                same.tokens_out,
                (same.tokens_out or 0) - 1,  # the one that ends it
            )


def test_a_data_set_by_transformers_serve(
    seer: Path, served: str, squares: Path, tmp_path: Path
) -> None:
    out, via = tmp_path / "out", EndpointConfig(url=served, concurrency=3, retries=1)
    for captioned, before in ((12, 0), (0, 12)):
        summary = caption_images(DataConfig(path=str(squares)), out, greedy(seer), via=via)
        assert (summary.captioned, summary.before) == (captioned, before)
        assert summary.tokens_out >= 3 * captioned
    images = open_captioned_images(DataConfig(path=str(squares), captions=str(out)), image_size=8)
    words = {word for record in images.records for word in record.captions[0].split()}
    assert len(images) == 12 and words <= set(WORDS)
