"""Frozen text encoders: T5, CLIP's text tower and BERT behind one call."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from textok.config.check import require
from textok.config.data import TextConfig
from textok.runtime.hub import quiet_transformers
from textok.text.folder import ModelType, TextModelFolder, find_text_model
from textok.text.minilm import WordPieces, load_minilm
from textok.text.pool import pool_states
from textok.text.unread import Vocabulary
from textok.types import TextFeatures

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_VOCABULARIES = ("tokenizer.json", "spiece.model", "vocab.txt", "vocab.json")

Tokenizer = Callable[..., Mapping[str, Any]]


class FrozenTextEncoder:
    """A transformers model whose last hidden states, all of them, are the features.

    Special tokens count as tokens. Padding is masked and its states are zero, or all captions are
    padded to one length (``padding``): either way a caption's features do not depend on its batch
    beyond rounding, nor on any autocast around the call.

    ``shared``: each process has a part of the weights, and all call at the same time.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        tokenizer: Tokenizer,
        folder: TextModelFolder,
        config: TextConfig,
        shared: bool = False,
    ) -> None:
        self.width = folder.width
        self.cut = 0
        """How many captions were longer than ``limit`` so far."""
        self._model = model.requires_grad_(False).train(False)
        self._device = next(model.parameters()).device
        self._tokenizer = tokenizer
        self.limit = min(config.max_tokens, folder.positions or config.max_tokens)
        self._config, self._shared = config, shared

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        shape, dtype = (len(captions), self._config.out_tokens), DTYPES[self._config.precision]
        states_BTD = torch.zeros(*shape, self.width, device=self._device, dtype=dtype)
        mask_BT = torch.zeros(shape, device=self._device, dtype=torch.bool)
        rows = [row for row, caption in enumerate(captions) if caption.strip()]
        if rows:
            states, mask = self._encode([captions[row] for row in rows])
            states_BTD[rows, : states.shape[1]] = states.to(dtype)
            mask_BT[rows, : mask.shape[1]] = mask
        elif self._shared:
            self._encode(["."])  # the others need this process's part of the weights
        full = self._config.padding and len(rows) == len(captions) and self.limit == shape[1]
        return TextFeatures(states=states_BTD, mask=mask_BT, full=full)

    def kept(self, caption: str) -> str:
        """The part of ``caption`` that is read: all, or its beginning up to ``limit`` tokens."""
        if len(self._tokenizer([caption], verbose=False)["input_ids"][0]) <= self.limit:
            return caption
        places = self._tokenizer(
            [caption], truncation=True, max_length=self.limit, return_offsets_mapping=True
        )["offset_mapping"][0]
        return caption[: max(end for _, end in places)]

    @property
    def model(self) -> nn.Module:
        """The network, which takes ``input_ids`` and ``attention_mask``."""
        return self._model

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns captions into ids."""
        return self._tokenizer

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Tells which captions have words that are lost."""
        return Vocabulary(self._tokenizer)

    def _encode(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """States (B, t, D), zero at padding, and mask (B, t) of captions that are not blank."""
        ids_BT, mask_BT = self._tokenize(captions)
        with torch.autocast(self._device.type, enabled=False):
            states = self._model(input_ids=ids_BT, attention_mask=mask_BT.long()).last_hidden_state
            if self._config.pool:
                return pool_states(states, mask_BT, self._config.pool)
        return states.masked_fill(~mask_BT[..., None], 0), mask_BT

    def _tokenize(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids (B, t) and mask (B, t), t the longest of these captions.

        With ``padding`` t is ``limit`` and all is real: zeros follow the end token, as in OpenAI's
        CLIP, whose tokens see those before them alone.
        """
        whole = self._tokenizer(captions, verbose=False)["input_ids"]
        kept = self._tokenizer(captions, truncation=True, max_length=self.limit)["input_ids"]
        self.cut += sum(len(a) > len(b) for a, b in zip(whole, kept, strict=True))
        ids = [torch.tensor(row, device=self._device) for row in kept]
        # Whatever stands at the padding is masked: the tokenizer needs no pad token.
        ids_BT = pad_sequence(ids, batch_first=True)
        if self._config.padding:
            ids_BT = F.pad(ids_BT, (0, self.limit - ids_BT.shape[1]))
            return ids_BT, torch.ones_like(ids_BT, dtype=torch.bool)
        mask_BT = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True).bool()
        return ids_BT, mask_BT


def load_text_encoder(
    config: TextConfig, *, device: torch.device | str = "cpu", shard: bool = False
) -> FrozenTextEncoder:
    """Load the encoder that ``config.encoder`` names.

    With ``shard`` each process has a part of the weights: all load it and call it at the same time.

    Raises:
        ValueError: it cannot be found, is of an unknown type, or its files are damaged; or its
            ``padding`` is set and it is no CLIP.
    """
    folder = find_text_model(config.encoder)
    require(
        not config.padding or folder.model_type in ("clip", "clip_text_model"),
        f"text.encoder: {folder.path} is of type '{folder.model_type}', but text.padding is for "
        "CLIP: set it to false",
    )
    try:
        model, tokenizer = _load(folder, DTYPES[config.precision]), load_tokenizer(folder)
    # What foreign readers raise about a foreign file has no common type.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"text.encoder: cannot load {folder.path}: {reason}") from error
    model.requires_grad_(False)
    if shard:
        # Half a second that generating an image need not wait.
        from textok.runtime import sharding

        sharding.shard(model, torch.device(device))
    else:
        model.to(device)
    return FrozenTextEncoder(
        model=model, tokenizer=tokenizer, folder=folder, config=config, shared=shard
    )


def load_tokenizer(folder: TextModelFolder) -> Tokenizer:
    """The tokenizer of a text model. Raises ValueError where its files are not there."""
    if folder.packaged:
        return WordPieces(folder.path / "tokenizer.json")
    import transformers

    names = [name for name in _VOCABULARIES if (folder.path / name).is_file()]
    # Without this, transformers makes up a tokenizer that knows no word.
    require(names != [], f"it has no tokenizer, none of {', '.join(_VOCABULARIES)}")
    require(
        names != ["spiece.model"] or importlib.util.find_spec("sentencepiece") is not None,
        "its tokenizer needs a package: pip install sentencepiece protobuf",
    )
    load: Callable[..., Tokenizer] = transformers.AutoTokenizer.from_pretrained
    with quiet_transformers():
        return load(folder.path, local_files_only=True)


def _load(folder: TextModelFolder, dtype: torch.dtype) -> nn.Module:
    if folder.packaged:
        return load_minilm(folder.path, dtype)
    load = _loader(folder.model_type)
    model: nn.Module
    info: dict[str, list[str]]
    with quiet_transformers():
        model, info = load(
            folder.path, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    missing = sorted(info["missing_keys"])
    require(not missing, f"the weights lack {len(missing)} tensors: {', '.join(missing[:3])}")
    return model


def _loader(model_type: ModelType) -> Callable[..., Any]:
    import transformers

    match model_type:
        case "t5":
            return transformers.T5EncoderModel.from_pretrained
        case "mt5":
            return transformers.MT5EncoderModel.from_pretrained
        case "umt5":
            return transformers.UMT5EncoderModel.from_pretrained
        case "clip" | "clip_text_model":
            return transformers.CLIPTextModel.from_pretrained
        case "bert":
            return partial(transformers.BertModel.from_pretrained, add_pooling_layer=False)
