"""The files of onnxruntime-web, the npm package that runs ONNX files in a browser."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from textok.config.check import require

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ENTRIES = {"wasm": "ort.wasm.min.mjs", "webgpu": "ort.webgpu.min.mjs"}
"""The scripts that a page imports, by what computes."""
MOST = 200_000_000
"""Bytes of one file."""
TIMEOUT = 600
Read = Callable[[str], bytes]
"""The bytes of a file of the package, by its name there."""


def copy_runtime(source: Path | None, target: Path, *, wasm_only: bool) -> dict[str, str]:
    """Write what a page needs of the package into the folder ``target``.

    ``source`` is the package's folder or archive; without it npm fetches VERSION. Returns the
    entry script of each kind, and the package's ``version``. Raises ValueError where it cannot be
    had, or is another package.
    """
    if source is not None:
        return _copy(source, target, wasm_only=wasm_only)
    with tempfile.TemporaryDirectory() as place:
        return _copy(_fetch(Path(place)), target, wasm_only=wasm_only)


def _copy(source: Path, target: Path, *, wasm_only: bool) -> dict[str, str]:
    if source.is_dir():
        folder = source if (source / "package.json").is_file() else source / PACKAGE
        return _write(lambda name: (folder / name).read_bytes(), source, target, wasm_only)
    require(source.is_file(), f"--runtime {source}: no such file or folder")
    try:
        archive = tarfile.open(source)  # noqa: SIM115
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"--runtime {source}: not what npm packs ({error})") from None
    with closing(archive):
        return _write(lambda name: _member(archive, name), source, target, wasm_only)


def _write(read: Read, source: Path, target: Path, wasm_only: bool) -> dict[str, str]:
    try:
        about = json.loads(read("package.json"))
        require(about["name"] == PACKAGE, f"--runtime {source}: it is {about['name']}")
        kinds = ["wasm"] if wasm_only else list(ENTRIES)
        target.mkdir()
        for kind in kinds:
            script = read(f"dist/{ENTRIES[kind]}")
            (target / ENTRIES[kind]).write_bytes(script)
            for name in sorted(set(re.findall(rb"ort-wasm-simd-threaded[a-z.]*\.mjs", script))):
                glue = Path(name.decode())
                for file in (glue, glue.with_suffix(".wasm")):
                    (target / file).write_bytes(read(f"dist/{file}"))
    except (OSError, KeyError, TypeError, json.JSONDecodeError, tarfile.TarError) as error:
        raise ValueError(
            f"--runtime {source}: not the npm package {PACKAGE} ({error}); {_how()}"
        ) from None
    return {"version": str(about["version"]), **{kind: ENTRIES[kind] for kind in kinds}}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of the archive, read without unpacking anything."""
    member = archive.getmember(f"package/{name}")
    require(member.size <= MOST, f"{name}: too large for a file of {PACKAGE}")
    file = archive.extractfile(member)
    if file is None:
        raise KeyError(name)
    with io.BufferedReader(file) as stream:  # type: ignore[type-var]
        return stream.read()


def _fetch(folder: Path) -> Path:
    """The archive of the package, by npm."""
    npm = shutil.which("npm")
    require(npm is not None, f"npm is not installed, which would fetch {PACKAGE}: {_how()}")
    words = [str(npm), "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    try:
        subprocess.run(
            words, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise ValueError(
            f"npm could not fetch {PACKAGE}@{VERSION} ({said[-1] if said else 'no reason given'}): "
            f"{_how()}"
        ) from None
    (archive,) = folder.glob("*.tgz")
    return archive


def _how() -> str:
    return f"run `npm pack {PACKAGE}@{VERSION}` on another machine, and give its file as --runtime"
