"""The npm packages the images and their names come from, and how to get their tarballs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Package:
    """One pinned package; ``style`` names the drawings in it, None if it has none.

    ``licence`` is the SPDX name of the images' licence and ``credit`` the attribution it asks
    for.
    """

    name: str
    version: str
    style: str | None
    licence: str
    credit: str

    @property
    def tarball(self) -> str:
        """The file name that ``npm pack`` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"


PACKAGES = (
    Package(
        name="@lobehub/fluent-emoji-3d",
        version="1.1.0",
        style="fluent-3d",
        licence="MIT",
        credit="Fluent Emoji, Microsoft Corporation, github.com/microsoft/fluentui-emoji",
    ),
    Package(
        name="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        style="fluent-flat",
        licence="MIT",
        credit="Fluent Emoji, Microsoft Corporation, github.com/microsoft/fluentui-emoji",
    ),
    Package(
        name="@iconify-json/noto",
        version="1.2.9",
        style="noto",
        licence="Apache-2.0",
        credit="Noto Emoji, Google Inc., github.com/googlefonts/noto-emoji",
    ),
    Package(
        name="openmoji",
        version="17.0.0",
        style="openmoji",
        licence="CC-BY-SA-4.0",
        credit="OpenMoji, HfG Schwäbisch Gmünd and contributors, openmoji.org",
    ),
    Package(
        name="@iconify-json/twemoji",
        version="1.2.5",
        style="twemoji",
        licence="CC-BY-4.0",
        credit="Twemoji, Twitter, Inc. and other contributors, github.com/jdecked/twemoji",
    ),
    Package(
        name="emojibase-data",
        version="17.0.0",
        style=None,
        licence="MIT",
        credit="Emojibase, Miles Johnson, emojibase.dev",
    ),
)
STYLES = tuple(package.style for package in PACKAGES if package.style is not None)
LICENCES = {package.style: package.licence for package in PACKAGES if package.style is not None}


def collect_tarballs(cache: Path, *, tarballs: Path | None = None) -> dict[str, Path]:
    """Return the tarball of every package by package name.

    They are looked up in ``tarballs`` if that folder is given, else in ``cache``, where the npm
    client puts those that are missing.

    Raises:
        ValueError: a tarball is missing, or npm is missing or does not deliver it.
    """
    if tarballs is not None:
        for package in PACKAGES:
            if not (tarballs / package.tarball).is_file():
                raise ValueError(
                    f"{tarballs}: no {package.tarball}; fetch it there with"
                    f" 'npm pack {package.spec}'"
                )
        return {package.name: tarballs / package.tarball for package in PACKAGES}
    cache.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not (cache / package.tarball).is_file():
            _npm_pack(package, cache)
    return {package.name: cache / package.tarball for package in PACKAGES}


def _npm_pack(package: Package, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"npm was not found, it fetches {package.spec}; install Node.js, or pass the folder"
            " that holds the packages' tarballs with --tarballs"
        )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [npm, "pack", package.spec, "--pack-destination", scratch]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        packed = Path(scratch) / package.tarball
        if result.returncode != 0 or not packed.is_file():
            lines = result.stderr.strip().splitlines() or ["no message"]
            raise ValueError(
                f"npm could not fetch {package.spec} ({lines[0]}); check the network, or pass the"
                " folder that holds the packages' tarballs with --tarballs"
            )
        packed.replace(folder / package.tarball)
