"""`textok demo` as a process: its address, Ctrl-C, its memory, and what it refuses."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("gradio")

import httpx

import textok
from tests.demo.client import call, opened, uploaded
from tests.demo.conftest import Models
from textok.cli.main import main
from textok.config.demo import DemoConfig


class Running:
    """A process that serves the page."""

    def __init__(self, model: Path, folder: Path, *, files: int | None = None) -> None:
        def start() -> None:
            # As in a terminal: a shell's background job, as tests may be, ignores Ctrl-C.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if files is not None:
                import resource

                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        words = ["-m", "textok.cli", "demo", "--pipeline", str(model), "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *words, "--device", "cpu"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
            preexec_fn=start,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert self.line, self.process.communicate()[1]
        self.address = self.line.split()[0]

    def most_memory(self) -> float:
        """MB at any time so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1000


@pytest.fixture
def running(models: Models, tmp_path: Path) -> Iterator[Running]:
    found = Running(models("text"), tmp_path)
    yield found
    found.process.kill()
    found.process.communicate()


def test_fifty_pictures_at_once_then_ctrl_c(running: Running, tmp_path: Path) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+  \(Ctrl-C stops it\)\n", running.line)
    data = BytesIO()
    Image.new("RGBA", (1500, 1000), (255, 0, 0, 99)).save(data, "PNG")

    async def visit() -> float:
        async with opened(running.address) as client:
            file = await uploaded(client, data.getvalue())
            assert (await call(client, "reconstruct", file, "red", "", 4)).data
            before = running.most_memory() if sys.platform == "linux" else 0
            many = [call(client, "reconstruct", file, f"red {i}", "", 4) for i in range(50)]
            answers = await asyncio.gather(*many)
            assert all(one.data or one.status == 503 for one in answers)
            assert sum(one.data is not None for one in answers) >= 30
            return before

    before = asyncio.run(visit())
    if sys.platform == "linux":  # one takes about 20 MB
        assert running.most_memory() - before < 150
    (folder,) = tmp_path.glob("textok-demo-*")
    with httpx.stream(
        "GET", f"{running.address}/gradio_api/heartbeat/a", trust_env=False
    ) as open_page:
        assert next(open_page.iter_lines()) == "data: ALIVE"
        running.process.send_signal(signal.SIGINT)
        out, error = running.process.communicate(timeout=30)
    assert (running.process.returncode, out) == (130, "")
    assert error == "textok: interrupted\n"
    assert not folder.exists()


def test_more_connections_than_files_then_the_end_by_another_signal(
    models: Models, tmp_path: Path
) -> None:
    running = Running(models("plain"), tmp_path, files=256 if sys.platform == "linux" else None)
    try:
        assert len(list(tmp_path.glob("textok-demo-*"))) == 1
        if sys.platform == "linux":
            refuses_what_it_has_no_files_for(running.address)
        running.process.terminate()
        out, error = running.process.communicate(timeout=30)
        assert (running.process.returncode, out) == (143, "")
        assert "Traceback" not in error
        assert list(tmp_path.glob("textok-demo-*")) == []
    finally:
        running.process.kill()
        running.process.communicate()


def refuses_what_it_has_no_files_for(address: str) -> None:
    """It says so to those above its limit, and answers again once they have gone."""
    place = ("127.0.0.1", int(address.rpartition(":")[2]))
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(place, 10)) for _ in range(300)]
        refused = 0
        for one in idle[-100:]:
            refused += one.recv(16).startswith(b"HTTP/1.1 503 ")
        assert refused == 100
    deadline = time.monotonic() + 10
    while httpx.get(address, trust_env=False).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert httpx.get(address, trust_env=False).status_code == 200


def test_without_gradio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name)
    )
    assert main(["demo", "--model", "nowhere"]) == 2
    message = "textok: error: the page needs gradio: pip install 'textok[demo]'\n"
    assert capsys.readouterr().err == message


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, message in {
            f"--port {port}": f"--host 127.0.0.1 --port {port}: Address already in use",
            "--host=": "--host is empty: 127.0.0.1 is this machine alone",
            "--allowed-hosts http://a": "--allowed-hosts: 'http://a' is no name like demo.exam",
            "--auth ann": "--auth: give USER:PASSWORD, neither empty",
            "--auth ann:x --auth-file x": "--auth and --auth-file are both given: use one",
            "--auth-file /dev/null/x": "--auth-file /dev/null/x: no such file",
            "--port 99999": "--port is 99999: it must be >= 0 and <= 65535",
            "--host no.such.host.invalid --port 0": "--host no.such.host.invalid --port 0: ",
            "--model /nowhere --port 0": "/nowhere: no such folder, bundled model",
        }.items():
            assert main(["demo", *words.split()]) == 2
            shown = capsys.readouterr()
            assert shown.out == "" and shown.err.startswith(f"textok: error: {message}")
            assert shown.err.count("\n") == 1


def test_gradio_is_imported_by_the_page_alone() -> None:
    package = Path(textok.__file__).parent
    for file in package.rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", ())]
            names.append(getattr(node, "module", None) or "")
            rooms = {name.split(".")[0] for name in names}
            alone = not {"gradio", "uvicorn", "fastapi"} & rooms
            assert alone or file.parent == package / "demo" / "page", file


def test_a_file_of_users(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# of the lab\nann:a:b\n\nbob:x\n")
    assert DemoConfig(auth_file=file).users() == [("ann", "a:b"), ("bob", "x")]
    assert DemoConfig(auth="ann:a:b").users() == [("ann", "a:b")] and not DemoConfig().users()
    for text, message in {
        b"": "holds no line",
        b"ann": ":1: give USER:PA",
        b"\xff": "UTF-8",
    }.items():
        file.write_bytes(text)
        with pytest.raises(ValueError, match=message):
            DemoConfig(auth_file=file)
