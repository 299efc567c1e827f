"""Tiny models of random weights, and two that were exported once."""

from __future__ import annotations

import shutil
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from tests.pipeline.conftest import shake, tiny
from textok.cli.main import main
from textok.config import DecodingConfig, TextConfig
from textok.config.export import ExportONNXConfig
from textok.export import Exported, build, export_onnx
from textok.export.graph import Graph
from textok.generator import DiT
from textok.pipeline import PipelineParts, save_pipeline
from textok.tokenizer import Tokenizer

WORDS = ("a", "red", "bag", "women", "blue", "jeans", ",")
WIDTH = 16


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer that knows some words and all letters."""
    folder = tmp_path_factory.mktemp("bert")
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters]
    pieces = list(dict.fromkeys(vocabulary))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def text_parts(bert_folder: Path) -> PipelineParts:
    """A pipeline by text whose tokenizer, nested, and generator read the same encoder."""
    parts = tiny("text")
    text = TextConfig(encoder=str(bert_folder), max_tokens=16, pool=8)
    tokenizer = Tokenizer(
        replace(parts.tokenizer.config, text_width=WIDTH, nested=True), text=text
    ).eval()
    generator = DiT(replace(parts.generator.config, text_width=WIDTH, pooled_text=True)).eval()
    shake(tokenizer, 0.3)
    shake(generator, 0.15)
    return replace(parts, tokenizer=tokenizer, generator=generator, text=text)


@pytest.fixture(scope="session")
def text_pipeline(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipeline") / "model", text_parts(bert_folder))


@pytest.fixture(scope="session")
def exported(text_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """That pipeline in fp32, by two steps of DPM-Solver++."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    config = ExportONNXConfig(
        model=str(text_pipeline), out=tmp_path_factory.mktemp("export") / "fp32"
    )
    return export_onnx(config)


def from_export(folder: Path, names: Sequence[str] = ()) -> Callable[[Graph, Path], None]:
    """In place of ``write_graph``: files of an export that there is, as tracing takes seconds.

    Graphs that are not of ``names``, where any are given, are traced.
    """
    trace = build.write_graph

    def write(graph: Graph, path: Path) -> None:
        if names and graph.name not in names:
            trace(graph, path)
        else:
            shutil.copy(folder / path.name, path)

    return write


@pytest.fixture(scope="session")
def sampler(bert_folder: Path) -> Tokenizer:
    """A tokenizer whose decoder samples in two steps, with guidance on the caption.

    All but the decoder is that of ``text_pipeline``.
    """
    base = text_parts(bert_folder).tokenizer
    sampling = DecodingConfig(steps=2, caption_guidance=2)
    config = replace(base.config, decoding="flow", sampling=sampling)
    tokenizer = Tokenizer(config, text=base.text_config).eval()
    shake(tokenizer, 0.3)
    tokenizer.encoder.load_state_dict(base.encoder.state_dict())
    return tokenizer


@pytest.fixture(scope="session")
def exported_sampler(
    sampler: Tokenizer, exported: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of its export by a command that asks for those steps: the model has others."""
    folder = tmp_path_factory.mktemp("sampler")
    sampler.save_pretrained(folder / "model")
    other = Tokenizer.from_pretrained(folder / "model")
    other.config = replace(other.config, sampling=DecodingConfig())
    other.save_pretrained(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        write = from_export(exported.files[0].parent, ["encoder", "text"])
        patch.setattr(build, "write_graph", write)
        flags = ["--decoding.steps", "2", "--caption-guidance", "2"]
        words = ["export", "onnx", str(folder / "model"), str(folder / "out"), *flags]
        assert main(words) == 0
    return folder / "out"
