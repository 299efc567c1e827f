"""The files of onnxruntime-web, the npm package that runs ONNX files in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from textok.config.check import require

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ENTRIES = {"wasm": "ort.wasm.min.mjs", "webgpu": "ort.webgpu.min.mjs"}
"""The scripts that a page imports, by what computes."""
GLUE = re.compile(r"ort-wasm-simd-threaded[a-z.]*\.mjs")
"""What such a script names of its WebAssembly, which has the same name."""
UNREADABLE = (tarfile.TarError, json.JSONDecodeError, UnicodeDecodeError)
MOST = 200_000_000
"""Bytes of one file."""
TIMEOUT = 600
NEEDED = re.compile(
    r"dist/(ort\.(wasm|webgpu)\.min\.mjs|ort-wasm-simd-threaded[a-z.]*\.(mjs|wasm))"
)


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
    kinds = ["wasm"] if wasm_only else list(ENTRIES)
    try:
        files = _of_folder(source) if source.is_dir() else _of_archive(source)
        about = json.loads(files["package.json"])
        require(about["name"] == PACKAGE, f"--runtime {source}: it is {about['name']}; {_how()}")
        target.mkdir()
        for kind in kinds:
            script = files[f"dist/{ENTRIES[kind]}"]
            (target / ENTRIES[kind]).write_bytes(script)
            for glue in sorted(
                set(re.findall(r"ort-wasm-simd-threaded[a-z.]*\.mjs", script.decode()))
            ):
                for name in (glue, f"{Path(glue).stem}.wasm"):
                    (target / name).write_bytes(files[f"dist/{name}"])
        version = str(about["version"])
    except KeyError as error:
        raise ValueError(f"--runtime {source}: has no {error.args[0]}; {_how()}") from None
    except (OSError, EOFError, TypeError, *UNREADABLE) as error:
        raise ValueError(f"--runtime {source}: not the package {PACKAGE} ({error})") from None
    return {"version": version, **{kind: ENTRIES[kind] for kind in kinds}}


def _of_folder(folder: Path) -> dict[str, bytes]:
    """The needed files of a package's folder, by their names in the package."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.glob("dist/*")))
    return {
        name: (folder / name).read_bytes() for name in ("package.json", *names) if _needed(name)
    }


def _of_archive(path: Path) -> dict[str, bytes]:
    """The needed files of an archive, read in one pass without unpacking anything."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            if member.isfile() and _needed(name):
                require(member.size <= MOST, f"{name} is too large")
                file = archive.extractfile(member)
                assert file is not None
                found[name] = file.read()
    return found


def _needed(name: str) -> bool:
    return name == "package.json" or bool(NEEDED.fullmatch(name))


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
        said = str(getattr(error, "stderr", "") or "").strip().splitlines()
        raise ValueError(
            f"npm could not fetch {PACKAGE}@{VERSION} ({said[-1] if said else 'no reason given'}): "
            f"{_how()}"
        ) from None
    (archive,) = folder.glob("*.tgz")
    return archive


def _how() -> str:
    return f"run `npm pack {PACKAGE}@{VERSION}` on another machine, and give its file as --runtime"
