"""Tiny random text models in folders of their own, as transformers saves them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["a", "red", "blue", "dog", "cat", "green", "circle", "on", "white", "two", "large"]


def save_tokenizer(folder: Path, *, first: str | None, last: str) -> int:
    """Save a tokenizer of words between ``first`` and ``last``; returns its vocabulary's size."""
    special = [token for token in ("<pad>", "<unk>", first, last) if token]
    vocab = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    template = ([first] if first else []) + ["$A", last]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(template), special_tokens=[(t, vocab[t]) for t in special]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token=last
    ).save_pretrained(folder)
    return len(vocab)


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 encoder of width 16 that ends a caption with one token."""
    return save_t5(tmp_path_factory.mktemp("t5"))


def save_t5(folder: Path) -> Path:
    """Save that encoder."""
    vocab = save_tokenizer(folder, first=None, last="</s>")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=vocab, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole CLIP model, its text tower 16 wide and 12 positions long."""
    folder = tmp_path_factory.mktemp("clip")
    vocab = save_tokenizer(folder, first="<start>", last="<end>")
    torch.manual_seed(0)
    size = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = transformers.CLIPConfig(
        text_config={**size, "vocab_size": vocab, "max_position_embeddings": 12, "eos_token_id": 3},
        vision_config={**size, "image_size": 8, "patch_size": 4},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_tower_folder(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Path:
    """The text tower of ``clip_folder`` alone."""
    folder = tmp_path_factory.mktemp("clip-tower")
    save_tokenizer(folder, first="<start>", last="<end>")
    transformers.CLIPTextModel.from_pretrained(clip_folder).save_pretrained(folder)
    return folder
