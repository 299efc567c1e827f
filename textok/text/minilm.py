"""The packaged MiniLM without transformers, whose import takes longer than generating an image.

Legend: B captions, T text tokens, D width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from tokenizers import Encoding
from tokenizers import Tokenizer as Pieces
from torch import Tensor, nn

from textok.runtime.pretrained import restored

KEYS = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
    "attention.self.": "",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "inner",
    "output.dense": "outer",
    "output.LayerNorm": "norm",
}
"""Parts of the file's names of weights, and ours for them, in the order in which they apply."""


class States(NamedTuple):
    """What the model gives, by the name that transformers has for it."""

    last_hidden_state: Tensor


class MiniLM(nn.Module):
    """A BERT encoder (Devlin et al. 2019, arXiv 1810.04805, section 3) of one segment.

    The same operations in the same order as in transformers, so that features are equal bit for
    bit. ``config`` is the model's config.json.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.words = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"], width)
        self.segments = nn.Embedding(config["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, *, input_ids: Tensor, attention_mask: Tensor) -> States:
        """States (B, T, D) of token ids (B, T); the mask (B, T) is 0 at padding."""
        place_T = torch.arange(input_ids.shape[1], device=input_ids.device)
        segment_BT = torch.zeros_like(input_ids)
        x_BTD = self.words(input_ids) + self.segments(segment_BT) + self.positions(place_T)
        x_BTD, real_BT = self.norm(x_BTD), attention_mask.bool()
        # A graph that is exported takes captions of any lengths.
        whole = not torch.compiler.is_compiling() and bool(real_BT.all())
        mask = None if whole else real_BT[:, None, None, :]
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask)
        return States(x_BTD)


class _Layer(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, inner, eps = (
            config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        )  # fmt: skip
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, x_BTD: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            rearrange(part(x_BTD), "B T (h d) -> B h T d", h=self.heads)
            for part in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed_BTD = rearrange(mixed, "B h T d -> B T (h d)")
        x_BTD = self.attention_norm(self.out(mixed_BTD) + x_BTD)
        return self.norm(self.outer(F.gelu(self.inner(x_BTD))) + x_BTD)


class WordPieces:
    """The tokenizer in a ``tokenizer.json``, called as those of transformers are."""

    def __init__(self, path: Path) -> None:
        self._pieces = Pieces.from_file(str(path))
        self._pieces.no_padding()
        self._pieces.no_truncation()
        self.unk_token_id = self._pieces.token_to_id("[UNK]")

    @property
    def backend_tokenizer(self) -> Pieces:
        """That of `tokenizers`, without padding and truncation."""
        return self._pieces

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The token of each id."""
        return [self._pieces.id_to_token(number) or "" for number in ids]

    def __call__(
        self,
        captions: Sequence[str],
        *,
        truncation: bool = False,
        max_length: int = 0,
        return_offsets_mapping: bool = False,
        verbose: bool = True,
    ) -> dict[str, list[Any]]:
        """``input_ids`` of each caption, and where its tokens lie in it if asked for.

        With ``truncation`` at most ``max_length``, the last of them the end token.
        """
        found: list[Encoding] = self._pieces.encode_batch(list(captions))

        def kept(values: Sequence[Any]) -> list[Any]:
            if truncation and len(values) > max_length:
                return [*values[: max_length - 1], values[-1]]
            return list(values)

        result = {"input_ids": [kept(one.ids) for one in found]}
        if return_offsets_mapping:
            result["offset_mapping"] = [kept(one.offsets) for one in found]
        return result


def load_minilm(folder: Path, dtype: torch.dtype) -> MiniLM:
    """The model of ``folder`` in ``dtype``; raises where a file is missing or damaged."""
    found = load_file(folder / "model.safetensors")
    unused = ("pooler.", "embeddings.position_ids")
    state = {_own(key): value for key, value in found.items() if not key.startswith(unused)}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return restored(partial(MiniLM, config), state, where=folder).to(dtype)


def _own(key: str) -> str:
    """Our name of a weight."""
    for start, ours in KEYS.items():
        key = key.replace(start, ours)
    return key
