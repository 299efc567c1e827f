"""onnxruntime-web: taken from a folder or an archive, and nothing else is taken for it."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from textok.export.runtime import PACKAGE, copy_runtime

FILES = {
    "package.json": json.dumps({"name": PACKAGE, "version": "9.8.7"}),
    "dist/ort.wasm.min.mjs": 'import("./ort-wasm-simd-threaded.mjs")',
    "dist/ort.webgpu.min.mjs": 'import("./ort-wasm-simd-threaded.other.mjs")',
    "dist/ort-wasm-simd-threaded.mjs": "glue",
    "dist/ort-wasm-simd-threaded.wasm": "machine code",
    "dist/ort-wasm-simd-threaded.other.mjs": "glue for WebGPU",
    "dist/ort-wasm-simd-threaded.other.wasm": "more of it",
    "dist/ort.all.min.js": "not needed",
}
WASM = {"ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"}
WEBGPU = {name.replace("threaded.", "threaded.other.") for name in WASM - {"ort.wasm.min.mjs"}}


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(text)
    return tmp_path / "package"


def archive(tmp_path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as made:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            made.addfile(member, io.BytesIO(text.encode()))
    return tmp_path / "package.tgz"


@pytest.mark.parametrize("make", [folder, archive])
def test_what_a_page_needs(make: object, tmp_path: Path) -> None:
    source = make(tmp_path, FILES)  # type: ignore[operator]
    about = copy_runtime(source, tmp_path / "both", wasm_only=False)
    assert about == {
        "version": "9.8.7", "wasm": "ort.wasm.min.mjs", "webgpu": "ort.webgpu.min.mjs"
    }  # fmt: skip
    names = {path.name for path in (tmp_path / "both").iterdir()}
    assert names == WASM | WEBGPU | {"ort.webgpu.min.mjs"}
    assert (tmp_path / "both" / "ort-wasm-simd-threaded.wasm").read_text() == "machine code"
    about = copy_runtime(source, tmp_path / "one", wasm_only=True)
    assert "webgpu" not in about
    assert {path.name for path in (tmp_path / "one").iterdir()} == WASM


@pytest.mark.parametrize("make", [folder, archive])
def test_other_packages(make: object, tmp_path: Path) -> None:
    files = {**FILES, "package.json": '{"name": "left-pad", "version": "1"}'}
    with pytest.raises(ValueError, match=r"it is left-pad; run `npm pack onnxruntime-web@"):
        copy_runtime(make(tmp_path, files), tmp_path / "out", wasm_only=True)  # type: ignore[operator]
    assert not (tmp_path / "out").exists()


def test_damage(tmp_path: Path) -> None:
    lacking = {name: text for name, text in FILES.items() if not name.endswith("other.wasm")}
    with pytest.raises(ValueError, match=r"has no dist/ort-wasm-simd-threaded\.other\.wasm; run"):
        copy_runtime(folder(tmp_path, lacking), tmp_path / "out", wasm_only=False)
    whole = archive(tmp_path, FILES)
    for name, data in {"cut.tgz": whole.read_bytes()[:200], "text.tgz": b"none"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}: not the package onnxruntime-web"):
            copy_runtime(tmp_path / name, tmp_path / f"out-{name}", wasm_only=True)
    with pytest.raises(ValueError, match=r"nowhere: not the package"):
        copy_runtime(tmp_path / "nowhere", tmp_path / "out-2", wasm_only=True)


def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"^npm is not installed, .* and give its file as"):
        copy_runtime(None, tmp_path / "out", wasm_only=True)
