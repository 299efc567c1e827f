"""The networks of a model as functions of tensors alone, as ONNX has them.

Legend: B batch, K latent tokens, C channels, T text tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from textok.config import DecodingConfig
from textok.export.schedule import decoding_steps
from textok.generator import DiT
from textok.generator.mean_flow import MeanFlowCondition
from textok.nn.codebook import Codebook
from textok.text.encoder import FrozenTextEncoder
from textok.text.pool import pool_states
from textok.tokenizer import Tokenizer
from textok.tokenizer.decoder_input import DecoderInput
from textok.tokenizer.flow_decoder import FlowDecoder
from textok.types import Condition, TextFeatures


class EncoderModule(nn.Module):
    """Images to ``tokens`` (B, K, C) and, by bottleneck, ``logvar`` or ``codes``."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.encoder = tokenizer.encoder

    def forward(
        self, image: Tensor, text_states: Tensor | None = None, text_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        latents = self.encoder(image, _features(text_states, text_mask)).latents
        given = (latents.mean, latents.logvar, latents.codes)
        return tuple(one for one in given if one is not None)


class DecoderModule(nn.Module):
    """Tokens (B, k, C) to images, not clamped."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(
        self, tokens: Tensor, text_states: Tensor | None = None, text_mask: Tensor | None = None
    ) -> Tensor:
        return self.tokenizer.decode(tokens, _features(text_states, text_mask))


class FlowDecoderModule(nn.Module):
    """Tokens (B, k, C) and noise (B, N, P) to images, not clamped: all steps of a flow decoder."""

    def __init__(self, decoder: FlowDecoder, decoding: DecodingConfig) -> None:
        super().__init__()
        self.decoder, self.decoding = decoder, decoding
        self.steps = decoding_steps(decoder, decoding)

    def forward(
        self,
        tokens: Tensor,
        noise: Tensor,
        text_states: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        known = DecoderInput(tokens=tokens, text=_features(text_states, text_mask))
        predict = self.decoder.guided(known, self.decoding)
        x_BNP, before_BNP = noise, torch.zeros_like(noise)
        for step in self.steps:
            clean_BNP = predict(x_BNP, torch.full_like(x_BNP[:, 0, 0], step.place))
            x_BNP = step.keep * x_BNP + step.now * clean_BNP + step.before * before_BNP
            before_BNP = clean_BNP
        return self.decoder.unpatchify(x_BNP)


class CodebookModule(nn.Module):
    """Codes (B, k) to tokens (B, k, C)."""

    def __init__(self, codebook: Codebook) -> None:
        super().__init__()
        self.codebook = codebook

    def forward(self, codes: Tensor) -> Tensor:
        return self.codebook.lookup(codes)


class TextModule(nn.Module):
    """Ids and mask of captions (B, t) to the states and mask that the networks read."""

    def __init__(self, encoder: FrozenTextEncoder, *, pool: int) -> None:
        super().__init__()
        self.model: Callable[..., Any] = encoder.model
        self.pool = pool

    def forward(self, ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        states = self.model(input_ids=ids, attention_mask=real.long()).last_hidden_state
        if self.pool:
            return pool_states(states, real, self.pool)
        return states.float().masked_fill(~real[..., None], 0), real & True


class TextGenerator(nn.Module):
    """Output of a DiT (B, K, X) for noisy tokens, a time in each row and captions.

    The last four (B,) are those of ``MeanFlowCondition``, for the objective of that name alone.
    """

    def __init__(self, network: DiT) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        tokens: Tensor,
        time: Tensor,
        text_states: Tensor,
        text_mask: Tensor,
        span: Tensor | None = None,
        scale: Tensor | None = None,
        low: Tensor | None = None,
        high: Tensor | None = None,
    ) -> Tensor:
        condition = Condition(text=TextFeatures(states=text_states, mask=text_mask))
        told = _mean_flow(span, scale, low, high)
        output = self.network(tokens, time, condition, mean_flow=told)
        assert isinstance(output, Tensor)
        return output


class ClassGenerator(nn.Module):
    """As ``TextGenerator``, for classes (B,), of which -1 is none."""

    def __init__(self, network: DiT) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        tokens: Tensor,
        time: Tensor,
        labels: Tensor,
        span: Tensor | None = None,
        scale: Tensor | None = None,
        low: Tensor | None = None,
        high: Tensor | None = None,
    ) -> Tensor:
        told = _mean_flow(span, scale, low, high)
        output = self.network(tokens, time, Condition(labels=labels), mean_flow=told)
        assert isinstance(output, Tensor)
        return output


def _mean_flow(
    span: Tensor | None, scale: Tensor | None, low: Tensor | None, high: Tensor | None
) -> MeanFlowCondition | None:
    if span is None or scale is None or low is None or high is None:
        return None
    return MeanFlowCondition(span=span, scale=scale, low=low, high=high)


def _features(states: Tensor | None, mask: Tensor | None) -> TextFeatures | None:
    return None if states is None or mask is None else TextFeatures(states=states, mask=mask)


def run(module: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What the module gives, by torch, without gradients."""
    with torch.inference_mode():
        given = module(*inputs.values())
    return given if isinstance(given, tuple) else (given,)
