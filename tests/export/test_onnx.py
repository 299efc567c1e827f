"""ONNX files do in onnxruntime what the model does in torch."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx

from tests.export.conftest import from_export, text_parts
from tests.pipeline.conftest import shake, tiny
from textok.cli.main import main
from textok.config import DecodingConfig, TextConfig
from textok.config.generator import ObjectiveConfig, SamplingOptions
from textok.config.tokenizer import CodebookConfig
from textok.export import Exported, build
from textok.export.client import Client
from textok.export.graphs import generator_graph, text_graph
from textok.export.modules import FlowDecoderModule, run
from textok.export.write import write_graph
from textok.generator import DiT
from textok.pipeline import ImageRequest, Reconstructor, TextToImage
from textok.text import encoder as text_encoder
from textok.text.folder import find_text_model
from textok.text.minilm import MiniLM
from textok.tokenizer import Tokenizer
from textok.tokenizer.decoder_input import DecoderInput
from textok.tokenizer.flow_decoder import FlowDecoder
from textok.types import TextFeatures

CAPTIONS = ["a red bag for Women", "", "blue jeans", "Größe 7", "  "]


@pytest.fixture(scope="module")
def client(exported: Exported) -> Client:
    return Client(exported.files[0].parent)


@pytest.fixture
def reused(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the export that there is, in place of tracing again."""
    monkeypatch.setattr(build, "write_graph", from_export(exported.files[0].parent))


def test_the_manifest_names_every_file(client: Client, exported: Exported) -> None:
    about, folder = client.manifest, client.folder
    names = {one["file"] for one in about["graphs"].values()}
    names |= {one["vocabulary"] for one in about["texts"].values()} | {"manifest.json"}
    assert (
        names
        == {path.name for path in exported.files}
        == {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    )
    assert set(about["graphs"]) == {"encoder", "decoder", "generator", "text"}
    assert about["readers"] == {"tokenizer": "text", "generator": "text"}
    assert about["latents"]["mean"] == [0.5, -1.0] and about["latents"]["std"] == [2.0, 3.0]
    assert len(about["sampling"]["evaluations"]) == 3
    assert {one["name"] for one in about["differences"]} == {
        *about["graphs"], "reconstruction", "images from noise",
    }  # fmt: skip
    assert max(one.largest for one in exported.exact) < 1e-4


@pytest.mark.parametrize("kept", [1, 4])
def test_reconstruction(client: Client, bert_folder: Path, kept: int) -> None:
    """Other images, captions and batches than the check's own; any number of tokens."""
    model = Reconstructor(text_parts(bert_folder).tokenizer)
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(9)) * 2 - 1
    latents = model.encode(images, CAPTIONS)
    found = client.encode(images.numpy(), CAPTIONS)
    assert latents.logvar is not None
    np.testing.assert_allclose(found["tokens"], latents.mean.numpy(), atol=1e-4)
    np.testing.assert_allclose(found["logvar"], latents.logvar.numpy(), atol=1e-4)
    wanted = model.decode_tensor(latents.first(kept), CAPTIONS)
    drawn = client.decode(found["tokens"][:, :kept], CAPTIONS)
    np.testing.assert_allclose(drawn, wanted.numpy(), atol=2e-4)
    absent = model.decode_tensor(latents.first(kept))
    assert float((absent - wanted).abs().max()) > 0.01  # captions count here
    np.testing.assert_allclose(client.decode(found["tokens"][:, :kept]), absent.numpy(), atol=2e-4)


def test_images_from_text(client: Client, bert_folder: Path) -> None:
    pipe = TextToImage(text_parts(bert_folder))
    seeds = [7, 8]
    wanted = pipe.draw_tensor(
        [ImageRequest(condition=CAPTIONS[2], seed=7), ImageRequest(condition="", seed=8)]
    )
    noise = [torch.randn(4, 2, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    drawn = client.draw(torch.stack(noise).numpy(), [CAPTIONS[2], ""])
    np.testing.assert_allclose(drawn, wanted.numpy(), atol=1e-3)


@pytest.mark.usefixtures("reused")
def test_int8_by_the_command(
    text_pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], client: Client
) -> None:
    out = tmp_path / "deep" / "int8"
    assert main(["export", "onnx", str(text_pipeline), str(out), "--weights", "int8"]) == 0
    shown = capsys.readouterr().out
    assert "fp32, onnxruntime beside torch:" in shown and "int8, onnxruntime" in shown
    assert "images from noise" in shown and str(out / "manifest.json") in shown
    for name in ("decoder", "generator"):
        assert (out / f"{name}.onnx").stat().st_size < (
            client.folder / f"{name}.onnx"
        ).stat().st_size
    # Weights of 8 bits overflow on processors without VNNI.
    stored = onnx.load(out / "decoder.onnx").graph.initializer
    weights = [onnx.numpy_helper.to_array(one) for one in stored if one.dims and one.data_type == 3]
    assert weights and max(np.abs(one.astype(int)).max() for one in weights) == 64
    about = json.loads((out / "manifest.json").read_text())
    found = {one["name"]: one["largest"] for one in about["differences"]}
    assert about["weights"] == "int8" and 1e-4 < found["decoder"] < 0.3
    # Another export takes its place, and files that it does not have go.
    (out / "prompt.onnx").write_text("of an older one")
    words = [str(text_pipeline), str(out), "--weights", "fp16", "--steps", "5"]
    assert main(["export", "onnx", *words]) == 0
    again = json.loads((out / "manifest.json").read_text())
    assert again["weights"] == "fp16" and len(again["sampling"]["evaluations"]) == 5
    assert not (out / "prompt.onnx").exists()


@pytest.mark.usefixtures("reused")
def test_too_large_a_difference_writes_nothing(
    text_pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(text_pipeline), str(tmp_path / "out"), "--tolerance", "1e-12"]
    assert main(["export", "onnx", *words]) == 2
    assert "above --tolerance 1e-12: nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_text_encoder_that_does_without_transformers(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = replace(find_text_model(str(bert_folder)), packaged=True)
    monkeypatch.setattr(text_encoder, "find_text_model", lambda name: packaged)
    config = TextConfig(encoder=str(bert_folder), max_tokens=16, pool=8)
    encoder = text_encoder.load_text_encoder(config)
    assert isinstance(encoder.model, MiniLM)
    size = build._write_vocabulary(encoder, config, tmp_path / "vocabulary.json")
    words = tokenizers.Tokenizer.from_file(str(tmp_path / "vocabulary.json"))
    assert words.encode(CAPTIONS[0]).ids == encoder.tokenizer(CAPTIONS[:1])["input_ids"][0]
    graph = text_graph("text", encoder, config, size)
    write_graph(graph, tmp_path / "text.onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "text.onnx")
    inputs = graph.example(batch=3)
    for real in (inputs["real"], torch.ones_like(inputs["real"])):  # padded, and not
        given = {**inputs, "real": real}
        found = session.run(None, {name: value.numpy() for name, value in given.items()})
        for one, other in zip(found, run(graph.module, given), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5)


def test_a_flow_decoder_in_all_its_steps(sampler: Tokenizer, exported_sampler: Path) -> None:
    """Images of tokens, caption and noise: that of a seed as torch makes it."""
    client, model = Client(exported_sampler), Reconstructor(sampler)
    assert client.manifest["decoding"] == asdict(sampler.config.sampling)
    assert client.manifest["graphs"]["decoder"]["inputs"]["noise"]["shape"] == ["batch", 4, 192]
    tokens, seeds = torch.randn(5, 3, 2), [4, 5, 6, 7, 8]
    wanted = model.decode_tensor(tokens, CAPTIONS, seeds=seeds).numpy()
    noise = sampler.decoder.noise(seeds, 5).numpy()
    found = client.decode(tokens.numpy(), CAPTIONS, noise)
    np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())
    other = client.decode(tokens.numpy(), CAPTIONS, noise[::-1].copy())
    assert np.abs(other - wanted).max() > 0.01  # noise counts here
    with pytest.raises(ValueError, match=r"samples: it needs pixel_noise_BNP \(batch, 4, 192\)"):
        client.decode(tokens.numpy(), CAPTIONS)
    without = model.decode_tensor(tokens, [""] * 5, seeds=seeds).numpy()
    assert np.abs(without - wanted).max() > 0.01  # so do captions


@pytest.mark.parametrize("sampler", ["euler", "heun", "ddim", "dpmpp"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_steps_of_a_flow_decoder_are_those_of_its_sampler(
    bert_folder: Path, sampler: str, steps: int
) -> None:
    base = text_parts(bert_folder).tokenizer
    asked = DecodingConfig(
        steps=steps,
        sampler=sampler,  # type: ignore[arg-type]
        caption_guidance=2.0,
        token_guidance=1.5,
    )
    shape = replace(base.config, decoding="flow", sampling=asked)
    decoder = Tokenizer(shape, text=base.text_config).eval().decoder
    assert isinstance(decoder, FlowDecoder)
    torch.manual_seed(0)
    shake(decoder, 0.3)
    module = FlowDecoderModule(decoder, asked)
    assert 3 * len(module.steps) == asked.passes
    tokens, noise = torch.randn(2, 3, 2), torch.randn(2, 4, 192)
    text = TextFeatures(states=torch.randn(2, 5, shape.text_width), mask=torch.ones(2, 5).bool())
    known = DecoderInput(tokens=tokens, text=text)
    wanted = decoder.decode(known, decoding=asked, noise=noise)
    (found,) = run(module, {"tokens": tokens, "noise": noise, "s": text.states, "m": text.mask})
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    assert difference < 1e-3  # rounding, which guidance by a random network enlarges


def test_a_codebook(tmp_path: Path) -> None:
    """Without text, of codes: images to codes, codes to tokens, tokens to images."""
    codes = CodebookConfig(size=20)
    config = replace(tiny("text").tokenizer.config, text="none", bottleneck="vq", codebook=codes)
    tokenizer = Tokenizer(config).eval()
    shake(tokenizer, 0.3)
    tokenizer.save_pretrained(tmp_path / "model")
    assert main(["export", "onnx", str(tmp_path / "model"), str(tmp_path / "out")]) == 0
    client = Client(tmp_path / "out")
    assert set(client.manifest["graphs"]) == {"encoder", "decoder", "codebook"}
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    latents = Reconstructor(tokenizer).encode(images)
    assert latents.codes is not None
    found = client.encode(images.numpy())
    np.testing.assert_array_equal(found["codes"], latents.codes.numpy())
    tokens = client.run("codebook", codes=found["codes"][:, :3])["tokens"]
    wanted = Reconstructor(tokenizer).decode_tensor(latents.codes[:, :3])
    np.testing.assert_allclose(client.decode(tokens), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("objective", ["flow", "meanflow"])
def test_a_generator_of_classes(objective: Any, tmp_path: Path) -> None:
    import onnxruntime

    shape = tiny("class").generator.config
    config = replace(
        shape,
        network=replace(shape.network, depth=1),
        objective=ObjectiveConfig(name=objective),
    )
    network = DiT(config).eval()
    shake(network, 0.15)
    graph = generator_graph(network)
    write_graph(graph, tmp_path / "generator.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    for batch in (1, 5):
        inputs = graph.example(batch=batch)
        (wanted,) = run(graph.module, inputs)
        (given,) = session.run(None, {name: one.numpy() for name, one in inputs.items()})
        np.testing.assert_allclose(given, wanted.numpy(), atol=1e-4)


def test_sampling_options_are_applied(text_pipeline: Path) -> None:
    from textok.export.model import open_model

    options = SamplingOptions(sampler="heun", steps=3, guidance=1.0)
    model = open_model(str(text_pipeline), options)
    assert model.sampling is not None
    assert (model.sampling.sampler, model.sampling.guidance.scale) == ("heun", 1.0)


def test_the_client_takes_one_text_for_each_row(client: Client) -> None:
    images, noise = np.zeros((2, 3, 16, 16), np.float32), np.zeros((2, 4, 2), np.float32)
    for wrong, message in (("ab", "a text for a batch of 2"), (["a"], "1 texts for a batch of 2")):
        with pytest.raises(ValueError, match=message):
            client.encode(images, wrong)
        with pytest.raises(ValueError, match=message):
            client.draw(noise, wrong)
