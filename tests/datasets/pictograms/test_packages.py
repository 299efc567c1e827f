from __future__ import annotations

import stat
from pathlib import Path

import pytest

from textok.datasets.pictograms.packages import PACKAGES, collect_tarballs
from textok.datasets.pictograms.sources import read_drawings, read_names


def fake_npm(folder: Path, script: str) -> None:
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)


def test_tarball_names() -> None:
    assert [package.tarball for package in PACKAGES][:2] == [
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "iconify-json-fluent-emoji-flat-1.2.6.tgz",
    ]


def test_npm_fetches_each_package_once(
    tmp_path: Path, tarballs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    # Called as: npm pack NAME@VERSION --pack-destination FOLDER
    script = (
        f'echo "$2" >> {log}\ncp {tarballs}/$(echo "$2" | sed "s/^@//; s#/#-#; s/@/-/").tgz "$4"/\n'
    )
    fake_npm(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    for _ in range(2):
        found = collect_tarballs(tmp_path / "cache")
        assert found == {p.name: tmp_path / "cache" / p.tarball for p in PACKAGES}
    assert log.read_text().split() == [package.spec for package in PACKAGES]
    assert len(list((tmp_path / "cache").iterdir())) == len(PACKAGES)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no lobehub-.*npm pack @lobehub/fluent-emoji-3d@1\.1\.0"):
        collect_tarballs(tmp_path, tarballs=tmp_path)
    fake_npm(tmp_path / "bin", "echo 'npm error code E404' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(ValueError, match=r"npm could not fetch @lobehub.*E404.*--tarballs"):
        collect_tarballs(tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"npm was not found.*--tarballs"):
        collect_tarballs(tmp_path / "cache")


def test_drawings_are_read_with_codes_and_names(tarballs: Path) -> None:
    found = collect_tarballs(tarballs, tarballs=tarballs)
    drawings = {drawing.key: drawing for drawing in read_drawings(found)}
    assert len(drawings) == 18 * 5 + 6 + 1 + 1  # plain, OpenMoji's special cases, noto, twemoji
    assert drawings["noto-waving-hand"].code == ""
    assert drawings["openmoji-23-20e3"].name == "keycap: #"
    assert "fluent-3d-1f1f3-1f1f4" not in drawings
    assert b'viewBox="0 0 32 32"' in drawings["noto-waving-hand"].data
    names = read_names(found)
    assert names["1f44b-1f3ff"].label == "waving hand: dark skin tone"
    assert names["1f44b"].keywords == ("gadget",)
    assert (names["e001"].group, names["e001"].subgroup) == ("other", "brand")


def test_a_damaged_tarball_is_named(tmp_path: Path, tarballs: Path) -> None:
    found = collect_tarballs(tarballs, tarballs=tarballs)
    cut = tmp_path / "cut.tgz"
    data = found["openmoji"].read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.tgz: damaged"):
        read_names(found | {"openmoji": cut})
    with pytest.raises(ValueError, match=r"noto.*: no 'data/openmoji\.json' inside"):
        read_names(found | {"openmoji": found["@iconify-json/noto"]})
