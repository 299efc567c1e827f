"""What `textok demo` is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textok.config.bundled import BUNDLED
from textok.config.check import require, require_range


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """All of ``textok demo``."""

    ALIASES: ClassVar[dict[str, str]] = {"pipeline": "model"}

    model: str = BUNDLED
    """The bundled 'products', a pipeline or tokenizer folder, or a hub name."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 is every one of this machine, see docs/demo.md first."""
    port: int = 7860
    """Number of the port; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which the page is served, as a proxy forwards them: demo.example.com.
    Others are refused."""
    auth: str | None = None
    """USER:PASSWORD, to ask visitors for; others on this machine see what is typed here."""
    auth_file: Path | None = None
    """A file with a line USER:PASSWORD for each visitor that is let in."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        require(bool(self.host.strip()), "--host is empty: 127.0.0.1 is this machine alone")
        for name in self.allowed_hosts:
            bare = name and not set(name) & set("/:*@?# ")
            require(bool(bare), f"--allowed-hosts: {name!r} is no name like demo.example.com")
        require(
            self.auth is None or self.auth_file is None,
            "--auth and --auth-file are both given: use one",
        )
        self.users()
        require_range("--port", self.port, 0, 65535)

    def users(self) -> list[tuple[str, str]]:
        """Names and passwords that are let in; empty: everybody is.

        Raises ValueError for a file that is none or holds another line.
        """
        if self.auth is not None:
            return [_user(self.auth, "--auth")]
        if self.auth_file is None:
            return []
        where = f"--auth-file {self.auth_file}"
        require(self.auth_file.is_file(), f"{where}: no such file")
        require(self.auth_file.stat().st_size <= MOST, f"{where}: too long for a list of users")
        try:
            lines = self.auth_file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{where}: not a text in UTF-8") from None
        users = [
            _user(line, f"{where}:{number}")
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.startswith("#")
        ]
        require(bool(users), f"{where}: holds no line USER:PASSWORD")
        return users


MOST = 1_000_000
"""Bytes of a list of users."""


def _user(line: str, where: str) -> tuple[str, str]:
    """The two sides of the first colon; the message does not repeat a password."""
    name, colon, password = line.partition(":")
    require(
        bool(colon and name.strip() and password), f"{where}: give USER:PASSWORD, neither empty"
    )
    return name.strip(), password
