from __future__ import annotations

from pathlib import Path

import pytest

from textok.config.cache import cache_folder


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/textok")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path("/somebody/.cache/textok")


def test_a_user_without_name_and_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() == Path("/.cache/textok")
