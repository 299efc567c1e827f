"""By which names the page may be asked for, and from which other pages: DNS rebinding, CSRF."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence

ANY = ("0.0.0.0", "::")
LOOPBACK_NAME = "localhost"
NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})")


class Hosts:
    """The names in ``Host`` that are answered.

    Loopback names, the address that is listened at, and ``more``. Where every address of the
    machine is listened at, any address and the machine's name: DNS rebinding needs a name that is
    somebody else's.
    """

    def __init__(self, host: str = "127.0.0.1", more: Sequence[str] = ()) -> None:
        self._any_address = host in ANY
        self._names = {host.lower(), LOOPBACK_NAME, *(name.lower().rstrip(".") for name in more)}
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def refusal(self, headers: Mapping[bytes, bytes], *, api: bool) -> tuple[int, str]:
        """Status and reason where a request is refused, (0, "") where it is not.

        ``api``: no other site may ask, not even to embed the answer.
        """
        asked = headers.get(b"host", b"").decode("latin-1").strip().lower()
        name = host_name(asked)
        if name is None or not self._allows(name):
            return 421, "the page is not served under this name: see --allowed-hosts"
        origin = headers.get(b"origin")
        if origin is not None and _place(origin.decode("latin-1")) != _without_port(asked):
            return 403, "another site may not use this page"
        if api and headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            return 403, "another site may not use this page"
        return 0, ""

    def _allows(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def host_name(host: str) -> str | None:
    """The name or address in a ``Host``, without its port; None where it is malformed."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@\s]+))(?::\d{0,5})?", host)
    if found is None:
        return None
    name = (found[1] or found[2]).rstrip(".")
    return name if found[1] or NAME.fullmatch(name) else None


def _place(origin: str) -> str | None:
    """Host and port of an ``Origin``; None for ``null`` and for what is no web page."""
    scheme, _, rest = origin.strip().lower().partition("://")
    return _without_port(rest) if scheme in ("http", "https") else None


def _without_port(host: str) -> str:
    """Host and port without the port that a browser leaves out."""
    return re.sub(r":(80|443)?$", "", host)
