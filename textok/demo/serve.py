"""The page on an address of this machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from textok.config.check import require
from textok.config.demo import DemoConfig
from textok.demo.hosts import Hosts
from textok.demo.limits import CONNECTIONS, HEAD_SECONDS, SESSIONS, UPLOAD_BYTES
from textok.demo.request_filter import RequestFilter
from textok.demo.studio import Studio, open_studio
from textok.runtime.device import pick_device

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

OFF = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""What gradio reads from the environment when it is imported: no analytics are sent."""
PATIENCE = 1
"""Seconds that open connections are given when the server stops."""
BACKLOG = 32
"""Connections that wait to be accepted."""
OTHER_FILES = 96
"""Files that are open besides connections and what they read and write."""


def serve(
    config: DemoConfig,
    *,
    announce: Callable[[str], None],
) -> None:
    """Show the page of a model at an address of this machine, until it is interrupted.

    ``announce`` is told the address once the page is about to be served there.

    Raises ValueError without gradio, for a port that is taken, and for a model that cannot be
    loaded.
    """
    device = pick_device(config.device)
    found = importlib.util.find_spec("gradio") is not None
    require(found, "the page needs gradio: pip install 'textok[demo]'")
    with closing(_listen(config.host, config.port)) as listener:
        studio = open_studio(config.model, device=device)
        signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again once it has stopped
        hosts = Hosts(config.host, config.allowed_hosts)
        with page_app(studio, hosts=hosts, users=config.users()) as app:
            host = config.host
            shown = f"[{host}]" if ":" in host else host
            announce(f"http://{shown}:{listener.getsockname()[1]}")
            server = page_server(app, connections=_most_connections())
            # What browsers still listen to is cut off then: no reason to complain.
            logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
            server.run(sockets=[listener])


@contextmanager
def page_app(
    studio: Studio, *, hosts: Hosts | None = None, users: Sequence[tuple[str, str]] = ()
) -> Iterator[FastAPI]:
    """The page as an ASGI application; its uploads and generated files go when it is left.

    ``hosts``: the names under which it is served, by default those of this machine alone.
    ``users``: names and passwords of visitors that are let in; everybody where there are none.
    """
    os.environ.update(OFF)
    with tempfile.TemporaryDirectory(prefix="textok-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        import gradio
        from fastapi import FastAPI

        from textok.demo.page.frame import build_page
        from textok.demo.page.look import CSS, theme
        from textok.demo.page.sessions import forget

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        page = build_page(studio, Path(folder))
        page.state_session_capacity = SESSIONS
        gradio.mount_gradio_app(
            app,
            page,
            path="/",
            auth=list(users) or None,
            footer_links=[],
            run_history=False,
            max_file_size=UPLOAD_BYTES,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            show_error=True,
            theme=theme(),
            css=CSS,
        )
        app.add_middleware(
            RequestFilter, folder=Path(folder), hosts=hosts, before_call=partial(forget, page)
        )
        yield app


def page_server(app: FastAPI, *, connections: int = CONNECTIONS) -> uvicorn.Server:
    """Serves the page over at most ``connections``, none of which may stay half open."""
    import uvicorn

    from textok.demo.page.connections import limited_protocol

    settings = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=PATIENCE,
        http=limited_protocol(connections, HEAD_SECONDS),
        ws="none",
        # As many are accepted in one go, before one of them can be refused.
        backlog=BACKLOG,
    )
    return uvicorn.Server(settings)


def _most_connections() -> int:
    """As many as the files that may be open allow; the limit is raised where that is allowed."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(8, min(CONNECTIONS, (soft - OTHER_FILES - BACKLOG) // 2))


def _end(signum: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that temporary files go."""
    raise SystemExit(128 + signum)


def _listen(host: str, port: int) -> socket.socket:
    """A socket on the address. Raises ValueError for one that is taken or is none of ours."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise ValueError(
            f"--host {host} --port {port}: {error.strerror or error}; choose another, 0 takes a "
            "free port"
        ) from None
