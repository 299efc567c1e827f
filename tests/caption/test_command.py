from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import textok.caption
from tests.caption.conftest import Reply, chat, lines, serve
from textok.cli.main import main
from textok.config import DataConfig
from textok.config.caption import (
    BudgetConfig,
    CaptionConfig,
    EndpointConfig,
    LocalConfig,
    ShardConfig,
)


def test_words_become_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def captioned(*places: object, **settings: object) -> SimpleNamespace:
        calls.append((places, settings))
        return SimpleNamespace(lines=lambda: ["all of it", "path"], signum=0)

    monkeypatch.setattr(textok.caption, "caption_images", captioned)
    words = (
        "caption images out --model seer --endpoint http://h/v1 --detail long --prompt Why? "
        "--captions-per-image 3 --split val --where core=true --image-size 64 --temperature 0.5 "
        "--max-tokens 50 --max-words 40 --max-images 7 --max-cost 2.5 --price-in 0.1 "
        "--price-out 0.4 --shard 1/4 --retry-failed --concurrency 3 --per-minute 60 --timeout 9 "
        "--retries 2 --key-variable KEY"
    )
    assert main(words.split()) == 0
    assert capsys.readouterr().out == "all of it\npath\n"
    ((data, out, asked), settings) = calls[0]
    assert (data, out) == (DataConfig(path="images", split="val", where="core=true"), Path("out"))
    assert asked == CaptionConfig(
        model="seer", detail="long", prompt="Why?", captions_per_image=3, image_size=64,
        temperature=0.5, max_tokens=50, max_words=40,
    )  # fmt: skip
    assert settings == {
        "via": EndpointConfig(
            url="http://h/v1", key_variable="KEY", concurrency=3, per_minute=60, timeout=9,
            retries=2,
        ),
        "budget": BudgetConfig(max_images=7, max_cost=2.5, price_in=0.1, price_out=0.4),
        "shard": ShardConfig(number=1, count=4),
        "retry_failed": True,
    }  # fmt: skip
    assert main("caption images out --model m --batch-size 2 --device cpu".split()) == 0
    assert calls[1][1]["via"] == LocalConfig(device="cpu", batch_size=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--endpoint localhost:8000/v1", "--endpoint localhost:8000/v1: it must start with http"),
        ("--shard 2/2", "--shard is 2: it must be >= 0 and <= 1"),
        ("--shard half", "--shard half: write 0/2 for the first of two, 1/2 for the second"),
        ("--max-cost 3", "--max-cost needs --price-in and --price-out to count"),
        ("--captions-per-image 0", "--captions-per-image is 0: it must be >= 1"),
        ("--endpoint http://h --timeout 0", "--timeout is 0.0: it must be > 0"),
    ],
)
def test_mistakes_are_one_line(
    words: str, message: str, squares: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = squares.parent / "out"
    assert main(["caption", str(squares), str(out), "--model", "m", *words.split()]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"textok: error: {message}") and shown.err.count("\n") == 1
    assert not out.exists()


def test_a_run_with_failures_ends_well_and_says_so(
    squares: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = squares.parent / "out"
    with serve(lambda n, body: Reply(body=chat("" if n < 2 else "grey"))) as server:
        words = ["--model", "m", "--endpoint", server.url, "--price-out", "1000"]
        assert main(["caption", str(squares), str(out), *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "12 images: 10 captioned now, 0 asked for before, 0 left; 1200 tokens in, 120 out; "
        "0.12 spent so far",
        f"2 images failed (2 empty): the reasons are in {out / 'captions.jsonl'}; "
        "--retry-failed asks again",
        str(out / "captions.jsonl"),
    ]
    assert len(lines(out)) == 12
