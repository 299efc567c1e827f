"""The page in a headless Chromium: the pixels of the Python pipeline, from the same noise."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from tests.demo.chromium import CHROMIUM, PHONE, opened, visit
from tests.export.conftest import from_export, text_parts
from tests.export.serve import served
from textok.config.export import ExportWebConfig
from textok.config.generator import SamplingOptions
from textok.export import Exported, build, export_web
from textok.export.runtime import PACKAGE, VERSION
from textok.pipeline import ImageRequest, Reconstructor, TextToImage
from textok.tokenizer import Tokenizer
from textok.tokenizer.flow_decoder import FlowDecoder

GIVEN = "TEXTOK_ONNXRUNTIME_WEB"
"""Names the package's folder or archive; without it npm is asked."""
STEPS = 2
"""With guidance four passes, so that the page draws while one types."""
SEEDS, CAPTIONS = [7, 8], ["a red bag, Größe 7", ""]
CALL = """
async ([dims, noise, asked]) => {
  const start = textok.floats(Float32Array.from(noise), dims);
  const image = await textok.draw(start, asked, asked);
  return [image.dims, Array.from(image.data)];
}
"""
BACK = """
async ([dims, pixels, caption, count]) => {
  const image = textok.floats(Float32Array.from(pixels), dims);
  return Array.from((await textok.reconstruct(image, caption, count)).data);
}
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("playwright") is None or not CHROMIUM.is_file():
        pytest.skip(f"needs the package playwright and {CHROMIUM}")
    if os.environ.get(GIVEN):
        return Path(os.environ[GIVEN])
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"needs npm, or {PACKAGE} in ${GIVEN}")
    folder = tmp_path_factory.mktemp("npm")
    words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--fetch-retries=0"]
    done = subprocess.run(words, cwd=folder, capture_output=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch {PACKAGE}@{VERSION}")
    (archive,) = folder.glob("*.tgz")
    return archive


@pytest.fixture(scope="module")
def page(
    runtime: Path, text_pipeline: Path, exported: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of the pipeline whose graphs there are already."""
    out = tmp_path_factory.mktemp("web") / "page"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "write_graph", from_export(exported.files[0].parent))
        export_web(
            ExportWebConfig(
                model=str(text_pipeline),
                out=out,
                weights="fp32",
                runtime=runtime,
                wasm_only=True,
                sampling=SamplingOptions(steps=STEPS),
            )
        )
    return out


@pytest.fixture(scope="module")
def sampling_page(
    runtime: Path,
    sampler: Tokenizer,
    exported_sampler: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page of ``sampler``, whose graphs there are already."""
    folder = tmp_path_factory.mktemp("samples")
    sampler.save_pretrained(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "write_graph", from_export(exported_sampler))
        export_web(
            ExportWebConfig(
                model=str(folder / "model"),
                out=folder / "page",
                weights="fp32",
                runtime=runtime,
                wasm_only=True,
            )
        )
    return folder / "page"


@pytest.fixture(scope="module")
def address(page: Path) -> Iterator[str]:
    with served(page) as found:
        yield found


@pytest.fixture(scope="module")
def browser(runtime: Path) -> Iterator[Any]:
    with opened() as found:
        yield found


def test_pixels_of_the_pipeline(address: str, browser: Any, bert_folder: Path) -> None:
    parts = text_parts(bert_folder)
    noise = torch.stack(
        [torch.randn(4, 2, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]
    )
    requests = [
        ImageRequest(condition=text, seed=seed) for text, seed in zip(CAPTIONS, SEEDS, strict=True)
    ]
    sampling = replace(parts.sampling, steps=STEPS)
    drawn = TextToImage(parts).draw_tensor(requests, sampling=sampling).numpy()
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    model = Reconstructor(parts.tokenizer)
    back = model.decode_tensor(model.encode(image, CAPTIONS[0], num_tokens=2), CAPTIONS[0]).numpy()
    with visit(address, browser=browser, ready="#draw:not([hidden])") as seen:
        given = [list(noise.shape), noise.flatten().tolist(), CAPTIONS]
        dims, values = seen.page.evaluate(CALL, given)
        np.testing.assert_allclose(np.array(values).reshape(dims), drawn, atol=2e-3)
        given = [list(image.shape), image.flatten().tolist(), CAPTIONS[0], 2]
        values = seen.page.evaluate(BACK, given)
        np.testing.assert_allclose(np.array(values).reshape(back.shape), back, atol=1e-3)
        assert seen.hosts == {urlsplit(address).netloc} and seen.complaints == []


def test_the_forms(address: str, browser: Any) -> None:
    with visit(address, browser=browser, size=PHONE, ready="#draw:not([hidden])") as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("What to draw").first.fill("a red bag")
        page.get_by_role("button", name="Draw four").click()
        figures = page.locator("#drawn figure")
        page.get_by_text("Done in").wait_for()
        assert figures.all_inner_texts() == [f"a red bag, seed {seed}" for seed in range(4)]
        shown = "[...document.querySelectorAll('#drawn canvas')].map((one) => one.toDataURL())"
        first = page.evaluate(shown)
        assert len(set(first)) == 4
        page.get_by_label("Seed", exact=True).fill("1")
        page.get_by_role("button", name="Draw four").click()
        page.get_by_text("a red bag, seed 4").wait_for()
        assert page.evaluate(shown)[:3] == first[1:]  # a seed is an image
        page.get_by_label("What to draw").first.fill("blue bags")
        page.get_by_text("blue bags, seed 4").wait_for()

        page.get_by_role("button", name="Reconstruct").click()
        page.get_by_text("Choose a picture first.").wait_for()
        files = page.locator("input[type=file]")
        files.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
        page.get_by_role("button", name="Reconstruct").click()
        page.get_by_text("a.png is no picture that this browser reads").wait_for()
        seen.complaints.clear()
        data = BytesIO()
        Image.new("RGB", (90, 60), "blue").save(data, "PNG")
        buffer = data.getvalue()
        files.set_input_files({"name": "blue.png", "mimeType": "image/png", "buffer": buffer})
        page.get_by_label("What it shows").fill("blue jeans")
        page.get_by_label("Tokens:").fill("2")
        page.get_by_role("button", name="Reconstruct").click()
        page.locator("#reconstructed figure").nth(2).wait_for()
        texts = page.locator("#reconstructed figcaption").all_inner_texts()
        assert texts == [
            "the picture, 16 × 16",
            "2 tokens, no caption",
            "2 tokens and “blue jeans”",
        ]
        pixel = "[...document.querySelector('#reconstructed canvas').getContext('2d')"
        assert page.evaluate(f"{pixel}.getImageData(8, 8, 1, 1).data]") == [0, 0, 255, 255]
        assert seen.hosts == {urlsplit(address).netloc} and seen.complaints == []


DECODE = """
async ([dims, tokens, caption, shape, noise]) => {
  const tensor = (values, dims) => textok.floats(Float32Array.from(values), dims);
  const image = await textok.decode(tensor(tokens, dims), [caption], tensor(noise, shape));
  return Array.from(image.data);
}
"""


@pytest.mark.parametrize("count", [0, 2])
def test_a_decoder_that_samples(
    count: int, sampling_page: Path, sampler: Tokenizer, browser: Any
) -> None:
    """Its pixels are torch's from the same noise; the page shows several samples, from no token."""
    torch.manual_seed(3)
    tokens, decoder = torch.randn(1, count, 2), sampler.decoder
    assert isinstance(decoder, FlowDecoder)
    noise = decoder.noise([4], 1)
    expected = Reconstructor(sampler).decode_tensor(tokens, CAPTIONS[0], seeds=[4]).numpy()
    data = BytesIO()
    Image.new("RGB", (16, 16), "blue").save(data, "PNG")
    ready = "#reconstruct:not([hidden])"
    with served(sampling_page) as at, visit(at, browser=browser, ready=ready) as seen:
        page = seen.page
        given = [list(tokens.shape), tokens.flatten().tolist(), CAPTIONS[0]]
        values = page.evaluate(DECODE, [*given, list(noise.shape), noise.flatten().tolist()])
        found = np.array(values).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
        files = {"name": "blue.png", "mimeType": "image/png", "buffer": data.getvalue()}
        page.locator("input[type=file]").set_input_files(files)
        page.get_by_label("What it shows").fill("blue jeans")
        page.get_by_label("Tokens:").fill(str(count))
        page.get_by_role("button", name="Reconstruct").click()
        page.locator("#reconstructed figure").nth(6).wait_for()
        texts = page.locator("#reconstructed figcaption").all_inner_texts()
        said = [f"{count} tokens, no caption", f"{count} tokens and “blue jeans”"]
        assert texts[1:] == [f"{what}, seed {seed}" for what in said for seed in range(3)]
        shown = (
            "[...document.querySelectorAll('#reconstructed canvas')].map((one) => one.toDataURL())"
        )
        assert len(set(page.evaluate(shown))) == 7


def test_files_of_the_page(page: Path) -> None:
    names = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert {"index.html", "model/manifest.json", "ort/ort.wasm.min.mjs", "page.json"} <= names
    assert "ort/ort-wasm-simd-threaded.wasm" in names and len(names) < 20
    assert json.loads((page / "page.json").read_text())["wasm"] == "ort.wasm.min.mjs"
