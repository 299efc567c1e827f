"""A page that runs: what it answers, what it refuses, and that it goes on."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.demo.client import Answer, call, files_of, opened, upload, uploaded
from tests.demo.conftest import served
from textok.demo.limits import UPLOAD_BYTES, WAITING
from textok.demo.page import frame
from textok.demo.studio import Studio
from textok.pipeline import TextToImage
from textok.runtime.png import read_png_note

Studios = Callable[[str], Studio]
Client = httpx.AsyncClient
DRAW = ("a dog", 2, 4, 2.0, 3, 0, "euler", "")


def png(size: tuple[int, int] = (40, 30), color: str = "red") -> bytes:
    data = BytesIO()
    Image.new("RGB", size, color).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def address(studios: Studios) -> Iterator[str]:
    with served(studios("text")) as found:
        yield found


def run(address: str, work: Callable[[Client], Awaitable[object]]) -> None:
    async def visit() -> None:
        async with opened(address) as client:
            await work(client)

    asyncio.run(visit())


def test_every_tab_answers(address: str) -> None:
    async def work(client: Client) -> None:
        one, other = await uploaded(client, png()), await uploaded(client, png(color="blue"))
        shown = (await call(client, "reconstruct", one, "a red square", "a frog", 4)).data[0]
        for word in ("Original", "Its caption", "No caption", "Your caption", "PSNR", "128 bits"):
            assert word in shown
        drawn = await call(client, "generate", *DRAW)
        assert [one["caption"] for one in drawn.data[0]] == ["seed 3", "seed 4"]
        paths = files_of(drawn)
        assert read_png_note(paths[1])["request"]["prompts"] == ["a dog"]
        fetched = await client.get(drawn.data[0][0]["image"]["url"])
        assert fetched.content == paths[0].read_bytes()
        pair = (one, "red", other, "blue")
        assert (await call(client, "swap", *pair, "frog")).data[0].count("<img") == 8
        line = await call(client, "interpolate", *pair, "none", 5)
        assert line.data[0].count("<img") == 5
        grid = await call(client, "grid", "a dog", "1, 2", "1 2 3", 0)
        assert grid.data[0].count("<img") == 6 and "2 steps" in grid.data[0]

    run(address, work)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("generate", ("x" * 10_000, *DRAW[1:]), "The prompt has 10,000 characters: at most 1,000"),
        ("generate", (["x"], *DRAW[1:]), "The prompt is no text"),
        ("generate", ("a", 17, *DRAW[2:]), "Pictures is 17: it must be &gt;= 1 and &lt;= 16"),
        ("generate", ("a", 0.5, *DRAW[2:]), "Pictures is 0.5: it must be"),
        ("generate", ("a", 2, 251, *DRAW[3:]), "Steps is 251: it must be &gt;= 1 and &lt;= 250"),
        ("generate", ("a", 2, 4, -1, *DRAW[4:]), "Guidance is -1: it must be"),
        ("generate", ("a", 2, 4, 2, -1, 0, "euler", ""), "Seed is -1: it must be"),
        ("generate", ("a", 2, 4, 2, 10**30, 0, "euler", ""), "Seed is 1"),
        ("generate", ("a", 2, 4, 2, 0, 0, "maskgit", ""), "Sampler 'maskgit' is unknown: use one"),
        ("generate", ("a", 2, 4, 2, 0, 0, ["euler"], ""), "Sampler"),
        ("generate", ("a", None, *DRAW[2:]), "Pictures: give a number from 1 to 16"),
        ("reconstruct", (None, "a", "", 4), "No picture: choose a sample, or upload one"),
        ("grid", ("a", "1, 2.5", "1", 0), "Steps: give whole numbers"),
        ("grid", ("a", "1, 9999", "1", 0), "Steps is 9999"),
        ("grid", ("a", "1", "", 0), "Guidance: give 1 to 5 numbers"),
    ],
)
def test_a_mistake_is_one_line_and_the_server_goes_on(
    address: str, name: str, inputs: tuple[object, ...], message: str
) -> None:
    async def work(client: Client) -> None:
        answer = await call(client, name, *inputs)
        assert answer.error.startswith(message) and "\n" not in answer.error
        assert (await call(client, "generate", *DRAW)).error == ""

    run(address, work)


def test_files_that_are_no_pictures(address: str) -> None:
    async def work(client: Client) -> None:
        for data, name, message in (
            (b"", "a.png", "0 bytes"),
            (b"hello", "a.png", "not one of PNG"),
            (png()[:-30], "a.png", "cannot be read"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "not one of PNG"),
            (png((5001, 5000)), "a.png", "5001 x 5000 pixels, at most 25,000,000 are taken"),
        ):
            file = await uploaded(client, data, name)
            answer = await call(client, "reconstruct", file, "a", "", 4)
            assert answer.status == 200 and message in answer.error, name
        refused = await upload(client, b"0" * (UPLOAD_BYTES + 20_000))
        assert (refused.status_code, refused.json()["detail"]) == (413, "at most 20 MB are taken")

    run(address, work)


def test_an_empty_prompt_draws_anything(address: str) -> None:
    async def work(client: Client) -> None:
        assert len((await call(client, "generate", "  ", *DRAW[1:])).data[0]) == 2

    run(address, work)


def test_no_other_file_is_served_or_read(address: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())

    async def work(client: Client) -> None:
        ours = (await uploaded(client, png()))["path"]
        assert (await client.get(f"/gradio_api/file={ours}")).status_code == 200
        for path in (
            f"/gradio_api/file={secret}", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd",
            f"/gradio_api/file={Path(ours).parent}/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/gradio_api/file=http://127.0.0.1:9/x", "/static/%2e%2e/%2e%2e/app.py",
            "/assets/..%2f..%2f..%2fapp.py", f"/gradio_api/file={Path.cwd()}/pyproject.toml",
            f"/gradio_api/file={Path(ours).parent}/{'a' * 3000}",
        ):  # fmt: skip
            answer = await client.get(path)
            assert answer.status_code in (403, 404), path
        for path in (str(secret), "http://127.0.0.1:9/x.png", f"{ours}/../../../secret.png"):
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            for name, inputs in {
                "reconstruct": (file, "a", "", 4),
                "generate": (file, *DRAW[1:]),
            }.items():
                answer = await call(client, name, *inputs)
                assert (answer.status, answer.error) == (400, "upload the file first")

    run(address, work)


def test_nobody_else_is_asked(studios: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    connect, find = socket.socket.connect, socket.getaddrinfo

    def noted(self: socket.socket, address: tuple[str, int]) -> None:
        asked.append(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: asked.append(host) or find(host, *a, **k)
    )

    async def work(client: Client) -> None:
        assert (await client.get("/")).status_code == 200
        assert (await call(client, "generate", *DRAW)).error == ""
        await client.get("/gradio_api/file=http://example.invalid/a.png")
        await call(client, "generate", {"path": "http://example.invalid/a.png"}, *DRAW[1:])
        await client.get("/gradio_api/proxy=http://example.invalid/a.png")

    with served(studios("text")) as address:
        run(address, work)
    assert set(asked) == {"127.0.0.1"}


def test_fifty_at_once_are_answered_or_refused(address: str) -> None:
    async def work(client: Client) -> None:
        many = [call(client, "generate", f"a dog {i}", *DRAW[1:]) for i in range(50)]
        answers: list[Answer] = await asyncio.gather(*many)
        done = [answer for answer in answers if answer.data is not None]
        refused = [answer for answer in answers if answer.status == 503]
        assert len(done) + len(refused) == 50 and len(done) >= WAITING
        assert all("Queue is full" in answer.error for answer in refused)
        assert (await call(client, "generate", *DRAW)).error == ""

    run(address, work)


def test_a_long_queue_is_refused_and_one_works_at_a_time(
    studios: Studios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "WAITING", 3)
    gate, most, now = threading.Event(), [0], [0]
    draw = TextToImage.draw

    def slow(self: TextToImage, *given: object, **named: object) -> object:
        now[0] += 1
        most[0] = max(most[0], now[0])
        gate.wait(20)
        now[0] -= 1
        return draw(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(TextToImage, "draw", slow)

    async def work(client: Client) -> None:
        tasks = []
        for _ in range(8):
            tasks.append(asyncio.create_task(call(client, "generate", *DRAW)))
            await asyncio.sleep(0.3)
        gate.set()
        answers = await asyncio.gather(*tasks)
        refused = [answer for answer in answers if answer.status == 503]
        assert 3 <= 8 - len(refused) <= 4 and most[0] == 1
        assert "Queue is full" in refused[0].error

    with served(studios("text")) as address:
        run(address, work)


def test_uploads_and_drawings_are_deleted(
    studios: Studios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "KEPT_SECONDS", 1)
    left: list[Path] = []

    async def work(client: Client) -> None:
        file = await uploaded(client, png())
        drawn = files_of(await call(client, "generate", *DRAW))
        left.extend([Path(file["path"]), *drawn])
        assert all(path.is_file() for path in left)
        deadline = time.monotonic() + 20
        while any(path.exists() for path in left) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        assert not any(path.exists() for path in left)
        answer = await call(client, "reconstruct", file, "a", "", 4)
        assert answer.error.startswith("This picture is not kept any longer")

    with served(studios("text")) as address:
        run(address, work)
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        assert folder in left[0].parents and folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(
    "kind", ["class", "codes", "codes-class", "nested", "plain", "plain-codes"]
)
def test_any_model_has_its_page(studios: Studios, kind: str) -> None:
    studio = studios(kind)

    async def work(client: Client) -> None:
        page = (await client.get("/config")).text
        file = await uploaded(client, png())
        shown = await call(client, "reconstruct", file, "a red square", "", 2)
        assert ("Its caption" in shown.data[0]) == studio.reads_text
        calls = (await client.get("/gradio_api/info")).json()["named_endpoints"]
        swap, line, generate = ("/swap" in calls, "/interpolate" in calls, "/generate" in calls)
        assert (swap, line) == (studio.reads_text, "codes" not in kind)
        assert generate == ("/grid" in calls) == (studio.pipe is not None)
        assert ("reads no caption" in page) == (not studio.reads_text)
        assert ("there is nothing between two of them" in page) == ("codes" in kind)
        assert ("it draws nothing" in page) == (studio.pipe is None)
        if studio.pipe is None:
            return
        asked = "sky" if studio.draws_classes else "a dog"
        sampler = studio.pipe.sampling.sampler
        drawn = await call(client, "generate", asked, 2, 3, 2.0, 0, 1.5, sampler, "")
        sampling = read_png_note(files_of(drawn)[0])["request"]["sampling"]
        assert (sampling["sampler"], sampling["steps"]) == (sampler, 3)
        assert sampling["temperature"] == (1.5 if sampler == "maskgit" else 4.5)
        if studio.draws_classes:
            other = await call(client, "generate", "<b>", 2, 3, 2.0, 0, 1.5, sampler, "")
            assert other.error.startswith("Class '&lt;b&gt;' is unknown to this generator")

    with served(studio) as address:
        run(address, work)
