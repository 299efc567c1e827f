"""Names under which the page is served, and other sites that would use it."""

from __future__ import annotations

import pytest

from textok.demo.hosts import Hosts, host_name


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:7860", "127.0.0.1"),
        ("[::1]:7860", "::1"),
        ("localhost", "localhost"),
        ("demo.example.com.:443", "demo.example.com"),
        ("", None),
        ("a b", None),
        ("user@localhost", None),
        ("localhost:x", None),
        ("localhost/../evil", None),
        ("::1", None),
        ("[::1", None),
    ],
)
def test_the_name_in_a_host(host: str, name: str | None) -> None:
    assert host_name(host) == name


def status(hosts: Hosts, host: str, *, api: bool = True, **headers: str) -> int:
    named = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    return hosts.refusal({b"host": host.encode(), **named}, api=api)[0]


def test_this_machine_alone() -> None:
    hosts = Hosts()
    for name in ("127.0.0.1:1", "localhost:1", "LOCALHOST", "[::1]:1", "127.0.0.2"):
        assert status(hosts, name) == 0, name
    for name in ("evil.example", "127.0.0.1.evil.example", "192.168.0.7", "localhost.evil", ""):
        assert status(hosts, name) == 421, name
    assert hosts.refusal({}, api=False)[0] == 421


def test_further_names_and_the_bound_address() -> None:
    hosts = Hosts("192.168.0.7", ["Demo.Example.com"])
    for name in ("192.168.0.7:80", "demo.example.com", "localhost"):
        assert status(hosts, name) == 0, name
    assert status(hosts, "192.168.0.8") == status(hosts, "www.example.com") == 421


def test_every_address_of_the_machine_but_no_name_of_another() -> None:
    hosts = Hosts("0.0.0.0")
    assert status(hosts, "10.1.2.3:7860") == status(hosts, "[fe80::1]:7860") == 0
    assert status(hosts, "evil.example") == 421


def test_other_sites() -> None:
    hosts = Hosts(more=["demo.example.com"])
    for host, origin, expected in (
        ("127.0.0.1:7860", "http://127.0.0.1:7860", 0),
        ("127.0.0.1:7860", "http://127.0.0.1:3000", 403),
        ("127.0.0.1:7860", "http://localhost:7860", 403),
        ("127.0.0.1:7860", "https://evil.example", 403),
        ("127.0.0.1:7860", "null", 403),
        ("demo.example.com", "https://demo.example.com", 0),
        ("demo.example.com:443", "https://demo.example.com", 0),
        ("demo.example.com", "file://demo.example.com", 403),
    ):
        assert status(hosts, host, origin=origin) == expected, origin
    # A link to the page is followed; its programs are called by the page alone.
    assert status(hosts, "localhost", api=False, sec_fetch_site="cross-site") == 0
    assert status(hosts, "localhost", api=True, sec_fetch_site="cross-site") == 403
    assert status(hosts, "localhost", api=True, sec_fetch_site="same-origin") == 0
