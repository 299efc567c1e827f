"""What one visitor may ask for, and all of them together."""

from __future__ import annotations

from pathlib import Path

import pytest

from textok.demo import limits
from textok.demo.visitors import Visitors, visitor_of


def test_who_asks() -> None:
    assert visitor_of(("10.0.0.1", 80)) == "10.0.0.1"
    assert visitor_of(("2001:db8:1:2:3::4", 80)) == "2001:db8:1:2::/64"
    assert visitor_of(("fe80::1%eth0", 80)) == "fe80::/64"
    assert visitor_of(("::1", 80)) == "::1"
    assert visitor_of(None) == visitor_of(("", 0)) == ""


def test_requests_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "REQUESTS", 3)
    monkeypatch.setattr(limits, "REQUESTS_EACH", 2)
    visitors = Visitors(tmp_path)
    with visitors.requests.one("a"), visitors.requests.one("a"):
        assert visitors.refusal("a") == (429, "too many requests at once")
        assert visitors.refusal("b") == (0, "")
        with visitors.requests.one("b"):
            assert visitors.refusal("c")[0] == 429
        assert visitors.refusal("c")[0] == 0
    assert visitors.refusal("a")[0] == 0 and not visitors.requests.counts


def test_uploads_of_one_and_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "UPLOAD_BYTES_EACH", 300_000)
    monkeypatch.setattr(limits, "FOLDER_BYTES", 500_000)
    now = [0.0]
    visitors = Visitors(tmp_path, clock=lambda: now[0])
    with visitors.uploading("a", 200_000):
        assert visitors.refusal_of_upload("a", 100_001)[0] == 429
        assert visitors.refusal_of_upload("a", 100_000)[0] == 0
        assert visitors.refusal_of_upload("b", 300_000)[0] == 0
        with visitors.uploading("b", 300_000):
            assert visitors.refusal_of_upload("c", 1)[0] == 507
    assert visitors.refusal_of_upload("c", 1)[0] == 0
    now[0] = limits.DELETED_SECONDS + 1
    assert visitors.refusal_of_upload("a", 300_000)[0] == 0
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "drawn.png").write_bytes(b"0" * 500_001)
    assert visitors.refusal_of_upload("a", 1)[0] == visitors.refusal_of_files()[0] == 507


def test_attempts_to_log_in(tmp_path: Path) -> None:
    now = [0.0]
    visitors = Visitors(tmp_path, clock=lambda: now[0])
    answers = [visitors.refusal_of_login("a")[0] for _ in range(limits.LOGINS + 1)]
    assert answers == [0] * limits.LOGINS + [429]
    assert visitors.refusal_of_login("b")[0] == 0
    now[0] = 61
    assert visitors.refusal_of_login("a")[0] == 0
