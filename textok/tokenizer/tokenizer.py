"""The 1-D image tokenizer: encoder, bottleneck and decoder, each with or without the caption.

Legend: B batch, K latent tokens, k <= K of them, C channels, H = W image size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from textok.config import DecodingConfig, TextConfig, TokenizerConfig
from textok.config.check import require, whole_number
from textok.config.networks import UNKNOWN
from textok.nn.codebook import Codebook
from textok.runtime.pretrained import accept_old_keys, restored
from textok.runtime.recorder import Recorder
from textok.runtime.repository import Pushable
from textok.tokenizer.decoder import Decoder
from textok.tokenizer.decoder_input import DecoderInput, FlowDraw
from textok.tokenizer.encoder import Encoder
from textok.tokenizer.flow_decoder import FlowDecoder
from textok.tokenizer.pretrained import OLD_KEYS, Saved, read_tokenizer, write_tokenizer
from textok.types import Latents, Reconstruction, TextFeatures
from textok.vqgan import VQGANDecoder


class Tokenizer(Pushable, nn.Module):
    """TexTok (arXiv 2412.05796), TiTok (arXiv 2406.07550) and the places between them.

    ``text`` names the text encoder whose features the tokenizer was trained on; it travels with
    the saved model. The tokenizer itself takes features, never captions.
    """

    recorder: Recorder | None = None
    """By way of which images are decoded."""

    def __init__(self, config: TokenizerConfig, *, text: TextConfig | None = None) -> None:
        super().__init__()
        self.config = config
        self.text_config = text
        self.trained_with: tuple[str, ...] = (UNKNOWN,)
        """Losses by pretrained networks that it was trained against; travels with it too."""
        self.encoder = Encoder(config)
        by_flow = config.decoding == "flow"
        self.decoder: Decoder | FlowDecoder = FlowDecoder(config) if by_flow else Decoder(config)
        self.apply(_init_linear)
        self.decoder.init_weights()
        self.encoder.bottleneck.init_logvar(config.initial_logvar)
        self.vqgan_decoder = VQGANDecoder(config.vqgan) if config.output == "codes" else None
        accept_old_keys(self, OLD_KEYS)

    def encode(
        self,
        images_B3HW: Tensor,
        text: TextFeatures | None = None,
        *,
        num_tokens: int | None = None,
    ) -> Latents:
        """Images in [-1, 1] to Latents (B, K, C), or to the first ``num_tokens`` of them.

        Raises ValueError if the images are not (B, 3, image_size, image_size) or ``num_tokens``
        is no number of tokens that it has, 1..K, of a flow decoder 0..K.
        """
        size, limit = self.config.image_size, self.config.num_tokens
        if images_B3HW.ndim != 4 or images_B3HW.shape[1:] != (3, size, size):
            raise ValueError(
                f"images have shape {tuple(images_B3HW.shape)}, this tokenizer takes "
                f"(B, 3, {size}, {size}) in [-1, 1]"
            )
        if num_tokens is not None:
            num_tokens = whole_number("num_tokens", num_tokens)
            fewest = self.fewest_tokens
            require(
                fewest <= num_tokens <= limit,
                f"num_tokens is {num_tokens}, this tokenizer has {fewest} to {limit}",
            )
        latents: Latents = self.encoder(images_B3HW, text).latents
        return latents.first(limit if num_tokens is None else num_tokens)

    def decode(
        self,
        latents: Latents | Tensor,
        text: TextFeatures | None = None,
        *,
        seeds: Sequence[int] | None = None,
        decoding: DecodingConfig | None = None,
    ) -> Tensor:
        """Latents to images (B, 3, H, W), not clamped.

        In place of Latents, whose mean counts, tokens (B, k, C) or int64 codes (B, k), k <= K.
        A flow decoder samples: each image from its own of ``seeds`` (0 for all without them), in
        the way that ``decoding`` says (the config's ``sampling`` without it); from no tokens, k =
        0, it generates by the caption alone. Other decoders ignore both.
        Raises ValueError for other shapes, for codes that there are not, and for guidance on a
        caption that the decoder does not read.
        """
        if decoding is not None:
            scale = decoding.caption_guidance
            self.config.require_guidable("decoding.caption_guidance", scale)
        tokens = latents.mean if isinstance(latents, Latents) else self._tokens(latents)
        fewest, limit, channels = self.fewest_tokens, self.config.num_tokens, self.config.channels
        if (
            tokens.ndim != 3
            or not fewest <= tokens.shape[1] <= limit
            or tokens.shape[2] != channels
        ):
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)}, this tokenizer takes (B, {fewest}.."
                f"{limit}, {channels})"
            )
        noise = self.decoder.noise(seeds, tokens.shape[0])
        pictures = partial(self._decode, decoding=decoding or self.config.sampling)
        if self.recorder is None:
            return pictures(tokens, noise, text)

        def call(tokens: Tensor, noise: Tensor | None, *text: Tensor | None) -> Tensor:
            return pictures(tokens, noise, _text(*text))

        noise = None if noise is None else noise.to(tokens.device)
        states = mask = None
        if text is not None:
            text = text.padded(self.config.text_tokens)
            states, mask = text.states, text.mask
        return self.recorder((self, decoding), call, tokens, noise, states, mask)

    def _decode(
        self,
        tokens: Tensor,
        noise: Tensor | None,
        text: TextFeatures | None,
        *,
        decoding: DecodingConfig,
    ) -> Tensor:
        """Images of tokens, and of the ``noise`` of a decoder that samples.

        All tensors are on one device, and no value is looked at.
        """
        known = DecoderInput(tokens=tokens, text=text)
        out = self.decoder.decode(known, decoding=decoding, noise=noise)
        return out if self.vqgan_decoder is None else self._decode_codes(out)

    def forward(
        self,
        images_B3HW: Tensor,
        text: TextFeatures | None = None,
        *,
        noise_BKC: Tensor | None = None,
        keep_B: Tensor | None = None,
        pixels: bool = True,
        flow: FlowDraw | None = None,
        hidden_after: int = 0,
    ) -> Reconstruction:
        """One training pass: latents drawn at ``noise_BKC`` (their mean without it), then decoded.

        ``keep_B`` (int64) shows the decoder only the first tokens of each image (nested training).
        ``pixels`` False stops at the logits of ``output: codes``. ``flow`` is what is random in
        the pass of a flow decoder, which cannot do without it. ``hidden_after`` asks for the states
        of the decoder's patches after that block, counted from 1; 0 for none.
        """
        encoded = self.encoder(images_B3HW, text)
        latents = encoded.latents
        tokens = latents.mean if noise_BKC is None else latents.sample(noise_BKC)
        known = DecoderInput(tokens=tokens, text=text, keep=keep_B)
        decoded = self.decoder.training_pass(images_B3HW, known, flow, hidden_after)
        by_codes = self.vqgan_decoder is not None
        codebook = commitment = None
        if encoded.pre_quant is not None:
            codebook, commitment = self.codebook.losses(encoded.pre_quant, latents.codes)
        images = None
        if pixels:
            images = self._decode_codes(decoded.out) if by_codes else decoded.out
        return Reconstruction(
            images=images,
            latents=latents,
            logits=decoded.out if by_codes else None,
            codebook=codebook,
            commitment=commitment,
            pre_quant=encoded.pre_quant,
            velocity_error=decoded.velocity_error,
            hidden=decoded.hidden,
        )

    @property
    def fewest_tokens(self) -> int:
        """Tokens that an image is decoded from at least: a flow decoder needs none."""
        return self.decoder.fewest_tokens

    @property
    def codebook(self) -> Codebook:
        """Of a ``vq`` bottleneck. Raises ValueError for a tokenizer without one."""
        codebook = self.encoder.bottleneck.get_codebook()
        if codebook is None:
            raise ValueError("this tokenizer is continuous: it has no codes")
        return codebook

    @property
    def last_layer(self) -> Tensor:
        """The weights that make the pixels."""
        return (self.vqgan_decoder or self.decoder).last_layer

    @property
    def latent_layer(self) -> Tensor:
        """The weights that make the latents' means."""
        return self.encoder.bottleneck.mean.weight

    def freeze_encoder(self) -> None:
        """Leave encoder, bottleneck and latent queries as they are (TiTok's second stage)."""
        self.encoder.requires_grad_(False)

    def freeze_decoder(self) -> None:
        """Leave the decoder as it is, that of a VQGAN too."""
        self.decoder.requires_grad_(False)
        if self.vqgan_decoder is not None:
            self.vqgan_decoder.requires_grad_(False)

    def _tokens(self, given: Tensor) -> Tensor:
        return given if given.is_floating_point() else self.codebook.lookup(given)

    def _decode_codes(self, logits_BNV: Tensor) -> Tensor:
        """The VQGAN's image of the means of its codes, weighted by their probabilities."""
        assert self.vqgan_decoder is not None
        return self.vqgan_decoder(logits_BNV.softmax(dim=-1))

    def draw_keep(self, batch: int, generator: torch.Generator) -> Tensor:
        """(B,) int64 token counts, uniform from ``fewest_tokens`` to K (Rippel et al. 2014)."""
        fewest, limit = self.fewest_tokens, self.config.num_tokens
        return torch.randint(fewest, limit + 1, (batch,), generator=generator)

    def save_pretrained(self, folder: str | Path, *, precision: torch.dtype | None = None) -> Path:
        """Write config.json, model.safetensors (in ``precision``) and a model card."""
        saved = Saved(
            config=self.config,
            text=self.text_config,
            state=self.state_dict(),
            trained_with=self.trained_with,
        )
        return write_tokenizer(folder, saved, precision=precision)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        image_size: int | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> Tokenizer:
        """Load a bundled name, a folder or a hub repository, in float32 and eval mode.

        ``revision`` is a branch, tag or commit of a repository, also written ``name@revision``;
        ``token`` stands in for HF_TOKEN.

        ``image_size`` other than the saved one interpolates the positions of the patches: a
        starting point for fine-tuning, not a finished tokenizer. Raises ValueError naming the
        file, key or setting that does not fit.
        """
        saved = read_tokenizer(source, image_size=image_size, revision=revision, token=token)
        make = partial(cls, saved.config, text=saved.text)
        tokenizer = restored(make, saved.state, where=source)
        tokenizer.trained_with = saved.trained_with
        return tokenizer

    def set_grad_checkpointing(self, on: bool) -> None:
        """Recompute the blocks' activations in the backward pass: less memory, more time."""
        self.encoder.trunk.grad_checkpointing = on
        self.decoder.set_grad_checkpointing(on)


def _text(states: Tensor | None, mask: Tensor | None) -> TextFeatures | None:
    if states is None or mask is None:
        return None
    return TextFeatures(states=states, mask=mask)


def _init_linear(module: nn.Module) -> None:
    """Truncated normal 0.02 weights and zero biases, as in ViT."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
