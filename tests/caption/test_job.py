from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.caption.conftest import KEY, Reply, Server, asked, chat, lines, serve, via
from tests.data.conftest import encoded, noise, write_folder
from textok.caption import caption_images
from textok.caption.summary import Summary
from textok.config import DataConfig
from textok.config.caption import BudgetConfig, ShardConfig
from textok.data import open_captioned_images
from textok.data.caption_files import read_captions

KEYS = {f"{i}.png" for i in range(12)}


def run(data: Path, out: Path, server: Server, **options: Any) -> Summary:
    config = options.pop("asked", asked())
    settings = {name: options.pop(name) for name in ("concurrency", "retries") if name in options}
    data_config = DataConfig(path=str(data))
    return caption_images(data_config, out, config, via=via(server, **settings), **options)


def good(number: int, body: object) -> Reply:
    return Reply(body=chat(f"square {number}"))


def test_every_image_gets_its_captions_and_a_second_run_asks_for_nothing(
    squares: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with serve(good) as server:
        summary = run(squares, out, server, asked=asked(captions_per_image=2))
        again = run(squares, out, server, asked=asked(captions_per_image=2))
        assert server.asked == 24
        more = run(squares, out, server, asked=asked(captions_per_image=3))
        assert server.asked == 36
    assert (summary.captioned, again.captioned, again.before, more.captioned) == (12, 0, 12, 12)
    assert (summary.tokens_in, summary.tokens_out) == (2400, 240)
    captions = read_captions(out)
    assert set(captions) == KEYS
    assert sorted(sum(captions.values(), ())) == sorted(f"square {i}" for i in range(36))
    assert sorted(p.name for p in out.iterdir()) == ["captions.jsonl", "settings.json"]
    assert lines(out)[0].keys() == {"key", "captions", "model", "tokens_in", "tokens_out"}


def test_what_fails_is_written_down_counted_and_asked_again_when_told(
    squares: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_folder(squares, {"broken.png": noise()[:5000], "empty.png": b""})
    bad = [
        Reply(body=chat("I'm sorry, I can't.")),
        Reply(body=chat("")),
        Reply(body=chat("cut", finish_reason="length")),
        Reply(body=chat("cat " * 130)),
        Reply(status=400, body=b"no"),
        Reply(status=500, body=b"oops"),
    ]
    with serve(lambda n, body: bad[n] if n < len(bad) else Reply()) as server:
        summary = run(squares, out, server, concurrency=1, retries=0)
        assert summary.kinds == {
            "bad image": 2, "http": 2, "refusal": 1, "empty": 1, "truncated": 1, "too long": 1,
        }  # fmt: skip
        assert (summary.captioned, summary.failed) == (6, 8)
        assert "8 images failed (2 bad image, 2 http, 1 " in summary.lines()[1].replace(
            "2 http, 2 bad image", "2 bad image, 2 http"
        )
        failures = [line["failures"][0] for line in lines(out) if "failures" in line]
        assert {"kind": "http", "reason": "500 oops"} in failures
        assert {"kind": "bad image", "reason": "empty file"} in failures

        asked_before = server.asked
        quiet = run(squares, out, server)
        assert server.asked == asked_before and (quiet.before, quiet.old_failures) == (14, 8)
        assert "8 images failed before: --retry-failed asks again" in quiet.lines()

        retried = run(squares, out, server, retry_failed=True)
        assert server.asked == asked_before + 6
        assert (retried.captioned, retried.kinds) == (6, {"bad image": 2})
        assert run(squares, out, server).old_failures == 2
    assert set(read_captions(out)) == KEYS


def test_one_of_several_captions_may_fail(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"a.png": encoded(0)})
    replies = [Reply(body=chat(text)) for text in ("one", "", "three", "four")]
    with serve(lambda n, body: replies[n]) as server:
        three = asked(captions_per_image=3)
        run(data, tmp_path / "out", server, asked=three)
        assert read_captions(tmp_path / "out") == {"a.png": ("one", "three")}
        run(data, tmp_path / "out", server, asked=three, retry_failed=True)
        assert server.asked == 4
    assert read_captions(tmp_path / "out") == {"a.png": ("one", "three", "four")}


def _in_a_fork(work: Any, *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_goes_on(
    number: signal.Signals, squares: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def work(server: Server) -> None:
        summary = run(squares, out, server)
        os._exit(summary.signum)

    with serve(lambda n, body: Reply(wait=0.05 if n < 5 else 0.2)) as server:
        process = _in_a_fork(work, server)
        while server.asked < 6:
            time.sleep(0.005)
        os.kill(process.pid, number)
        process.join(10)
        kept = len(lines(out))
        if number == signal.SIGKILL:
            assert process.exitcode == -signal.SIGKILL and 2 <= kept <= 6
        else:  # what was asked for is waited for
            assert process.exitcode == number and kept == server.asked
        with (out / "captions.jsonl").open("a") as stream:
            stream.write('{"key": "11.png", "capti')
        before = server.asked
        summary = run(squares, out, server)
        assert (summary.before, server.asked - before) == (kept, 12 - kept)
    assert sorted(line["key"] for line in lines(out)) == sorted(KEYS)


def test_a_stop_does_not_wait_for_a_server_that_makes_us_wait(
    squares: Path, tmp_path: Path
) -> None:
    away = Reply(status=429, headers={"Retry-After": "600"})
    with serve(lambda n, body: Reply() if n < 3 else away) as server:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        summary = run(squares, tmp_path / "out", server)
    assert (summary.signum, summary.captioned, summary.failed) == (signal.SIGINT, 3, 0)
    assert "interrupted; the same command goes on" in summary.lines()


def test_two_processes_share_the_work(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def work(server: Server, part: str) -> None:
        run(squares, out, server, shard=ShardConfig.read(part))

    with serve(lambda n, body: Reply(wait=0.02)) as server:
        processes = [_in_a_fork(work, server, part) for part in ("0/2", "1/2")]
        for process in processes:
            process.join(20)
        assert [process.exitcode for process in processes] == [0, 0]
        assert sorted(line["key"] for line in lines(out)) == sorted(KEYS)
        assert {path.name for path in out.glob("*.jsonl")} == {
            "captions-0-of-2.jsonl",
            "captions-1-of-2.jsonl",
        }
        assert run(squares, out, server).before == 12  # all files are read together
    images = open_captioned_images(DataConfig(path=str(squares), captions=str(out)), image_size=8)
    assert images.report.without_caption == 0


def test_two_processes_do_not_write_one_file(squares: Path, tmp_path: Path) -> None:
    def work(server: Server) -> None:
        run(squares, tmp_path / "out", server)

    with serve(lambda n, body: Reply(wait=0.1)) as server:
        process = _in_a_fork(work, server)
        while not server.asked:
            time.sleep(0.01)
        with pytest.raises(ValueError, match=r"captions\.jsonl is being written by another proces"):
            run(squares, tmp_path / "out", server)
        process.join(10)
        assert len(lines(tmp_path / "out")) == server.asked == 12


def test_budgets_end_a_run_and_the_next_goes_on(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prices = {"price_in": 1000, "price_out": 10000}  # 0.2 an image
    with serve(good) as server:
        summary = run(squares, out, server, budget=BudgetConfig(max_images=3))
        assert (server.asked, summary.captioned) == (3, 3)
        assert "stopped: --max-images 3 is reached; the same command goes on" in summary.lines()
        paid = run(squares, out, server, budget=BudgetConfig(max_cost=1.5, **prices))
        assert (server.asked, paid.cost) == (7, pytest.approx(1.4))  # with the three before
        assert "stopped: --max-cost 1.5 is reached; the same command goes on" in paid.lines()
        assert "; 1.40 spent so far" in paid.lines()[0]
        run(squares, out, server, budget=BudgetConfig(max_cost=1.5, **prices))
        assert server.asked == 7
        rest = run(squares, out, server, budget=BudgetConfig(max_cost=9, max_images=5, **prices))
        assert (rest.captioned, rest.stopped) == (5, "")


def test_a_budget_that_cannot_be_counted(squares: Path, tmp_path: Path) -> None:
    free = {name: value for name, value in chat().items() if name != "usage"}
    with serve(lambda n, body: Reply(body=free)) as server:
        budget = BudgetConfig(max_cost=1, price_in=1)
        with pytest.raises(ValueError, match="does not say how many tokens it took"):
            run(squares, tmp_path / "out", server, budget=budget)
    with pytest.raises(ValueError, match="--max-cost needs --price-in"):
        BudgetConfig(max_cost=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, 'captions there are of model "seer", not "other"'),
        ({"detail": "long"}, 'captions there are of prompt "Describe this picture in 25 to'),
        ({"prompt": "What?"}, 'not "What?"'),
        ({"image_size": 64}, "captions there are of image_size 512, not 64"),
        ({"temperature": 1.0}, "captions there are of temperature null, not 1.0"),
    ],
)
def test_settings_that_change_captions_may_not_change(
    change: dict[str, Any], message: str, squares: Path, tmp_path: Path
) -> None:
    with serve(good) as server:
        run(squares, tmp_path, server, budget=BudgetConfig(max_images=1))
        with pytest.raises(ValueError, match=r"settings\.json") as error:
            run(squares, tmp_path, server, asked=asked(**change))
        run(squares, tmp_path, server, asked=asked(max_tokens=9, max_words=9))
    assert message in str(error.value) and "\n" not in str(error.value)
    other = write_folder(tmp_path / "others", {"0.png": encoded(0)})
    with pytest.raises(ValueError, match='captions there are of data "squares", not "others"'):
        run(other, tmp_path, server)


def test_a_key_that_is_refused_fails_no_image(squares: Path, tmp_path: Path) -> None:
    with serve(lambda n, body: Reply(status=401, body=f"{KEY}?".encode())) as server:
        with pytest.raises(ValueError, match=r"answers 401 \*\*\*\?: check the key in OPENAI"):
            run(squares, tmp_path / "out", server)
        assert server.asked <= 2
    assert lines(tmp_path / "out") == []


def test_a_server_that_breaks_down_ends_the_run(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {f"{i}.png": encoded(i) for i in range(40)})
    with serve(lambda n, body: Reply() if n < 5 else Reply(status=500, body=b"gone")) as server:
        with pytest.raises(
            ValueError, match=r"the last 20 images failed \(http: 500 gone\): stopped"
        ):
            run(data, tmp_path / "out", server, retries=0)
        assert 25 <= len(lines(tmp_path / "out")) <= server.asked <= 27
    refused = Reply(body=chat("I cannot see it."))
    with serve(lambda n, body: refused) as server:  # an answer, if not the one that was hoped for
        assert run(data, tmp_path / "new", server).kinds == {"refusal": 40}


def test_the_key_is_nowhere(
    squares: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = [
        Reply(body=chat(f"a cat {KEY}")),
        Reply(status=400, body={"error": {"message": f"no {KEY}"}}),
        Reply(body=f"{KEY}".encode()),
        Reply(body={"error": KEY}),
        Reply(status=500, body=f"{KEY}".encode()),
    ]
    with serve(lambda n, body: echo[n % len(echo)]) as server:
        summary = run(squares, tmp_path / "out", server, retries=0)
    assert summary.kinds["bad answer"] > 3
    shown = capfd.readouterr()
    written = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert "***" in written
    for text in (written, shown.out, shown.err, "\n".join(summary.lines()), repr(summary)):
        assert KEY not in text


def test_large_pictures_are_sent_small_and_whole(tmp_path: Path) -> None:
    import base64
    import io

    from PIL import Image

    (tmp_path / "data").mkdir()
    Image.new("RGB", (900, 300), "red").save(tmp_path / "data" / "wide.png")
    with serve(good) as server:
        run(tmp_path / "data", tmp_path / "out", server, asked=asked(image_size=120))
    url = server.bodies[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == (120, 40)


def test_splits_have_folders_of_their_own(tmp_path: Path) -> None:
    files = {"train/0.png": encoded(0), "val/0.png": encoded(9), "val/1.png": encoded(9)}
    data, out = write_folder(tmp_path / "data", files), tmp_path / "out"
    with serve(good) as server:
        for split, count in (("train", 1), ("val", 2)):
            config = DataConfig(path=str(data), split=split)
            summary = caption_images(config, out, asked(), via=via(server))
            assert summary.captioned == count and summary.path == out / split / "captions.jsonl"
    for split in ("train", "val"):
        config = DataConfig(path=str(data), split=split, captions=str(out))
        images = open_captioned_images(config, image_size=8)
        assert all(record.captions[0].startswith("square") for record in images.records)


def test_a_damaged_line_is_named(squares: Path, tmp_path: Path) -> None:
    with serve(good) as server:
        file = run(squares, tmp_path / "out", server).path
        file.write_text(json.dumps({"key": "0.png"}) + "\n{]\n")
        with pytest.raises(ValueError, match=r"captions\.jsonl line 2: no JSON"):
            run(squares, tmp_path / "out", server)


def test_a_file_of_somebody_else_is_not_added_to(squares: Path, tmp_path: Path) -> None:
    mine = tmp_path / "captions-mine.jsonl"
    mine.write_text('{"key": "0.png", "captions": ["years of work"]}')
    with serve(good) as server, pytest.raises(ValueError, match=r"holds captions-mine\.jsonl, wh"):
        run(squares, tmp_path, server)
    assert [path.name for path in tmp_path.iterdir() if path != squares] == [mine.name]


def test_a_last_line_without_its_break_is_kept(squares: Path, tmp_path: Path) -> None:
    with serve(good) as server:
        file = run(squares, tmp_path / "out", server).path
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        run(squares, tmp_path / "out", server)
    assert file.read_bytes() == whole


def test_images_that_are_named_and_not_there_are_counted(tmp_path: Path) -> None:
    table = '{"file_name": "a.png"}\n{"file_name": "gone.png"}\n'
    data = write_folder(tmp_path / "data", {"metadata.jsonl": table, "a.png": encoded(0)})
    with serve(good) as server:
        summary = run(data, tmp_path / "out", server)
    assert "1 images are named in the data and not there" in summary.lines()
