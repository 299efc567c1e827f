"""The graphs of a model: encoder, decoder, codebook, text encoders, a step of the generator."""

from __future__ import annotations

from torch import nn

from textok.config import TextConfig
from textok.export.graph import Graph, Port, open_axis
from textok.export.modules import (
    ClassGenerator,
    CodebookModule,
    DecoderModule,
    EncoderModule,
    FlowDecoderModule,
    TextGenerator,
    TextModule,
)
from textok.generator import DiT
from textok.text.encoder import FrozenTextEncoder
from textok.tokenizer import Tokenizer
from textok.tokenizer.flow_decoder import FlowDecoder

TEXT, PROMPT = "text", "prompt"
"""Text encoders of the tokenizer, or of all, and of a generator that reads another."""

IMAGE = "RGB in [-1, 1]: pixels of 0 to 255, divided by 127.5, less 1"
STATES = "of a text encoder; zeros where a caption is absent"
MASK = "True at real tokens, which come first; none: no caption"

MEAN_FLOW = {
    "span": Port(shape=("batch",), kind="time", about="from time back to that of the result"),
    "scale": Port(shape=("batch",), kind="scale", about="of guidance; 1: none"),
    "low": Port(shape=("batch",), kind="time", about="first time with guidance"),
    "high": Port(shape=("batch",), kind="time", about="last time with guidance"),
}
"""What an average velocity is asked for beside time and condition."""


def tokenizer_graphs(tokenizer: Tokenizer) -> list[Graph]:
    """Encoder, decoder and, for a discrete bottleneck, codebook."""
    config = tokenizer.config
    count, channels = open_axis("tokens", config.num_tokens), config.channels
    pixels = Port(
        shape=("batch", 3, config.image_size, config.image_size), kind="pixels", about=IMAGE
    )
    latent = ("batch", config.num_tokens, channels)
    found = {"tokens": Port(shape=latent, kind="normal", about="latents; their mean where kl")}
    if config.bottleneck == "kl":
        found["logvar"] = Port(shape=latent, kind="normal", about="log-variance of the latents")
    if config.bottleneck == "vq":
        found["codes"] = Port(
            shape=latent[:2], kind="integer", about="of the codebook", high=config.codebook.size
        )
    lengths = {"tokens": 2, "text": 2}
    text = _text_ports(config.text_width, config.text_tokens)
    tokens = Port(
        shape=("batch", count, channels), kind="normal", about="the first ones of an image"
    )
    drawn = Port(shape=pixels.shape, kind="pixels", about=f"{IMAGE}; not clamped")
    noise: dict[str, Port] = {}
    module: nn.Module = DecoderModule(tokenizer)
    if isinstance(tokenizer.decoder, FlowDecoder):
        module = FlowDecoderModule(tokenizer.decoder, config.sampling)
        noise["noise"] = Port(
            shape=("batch", config.grid**2, 3 * config.patch_size**2),
            kind="normal",
            about="standard normal, one for each image",
        )
    graphs = [
        Graph(
            name="encoder",
            module=EncoderModule(tokenizer),
            inputs={"image": pixels, **(text if config.encoder_reads_text else {})},
            outputs=found,
            lengths=lengths,
        ),
        Graph(
            name="decoder",
            module=module,
            inputs={"tokens": tokens, **noise, **(text if config.decoder_reads_text else {})},
            outputs={"image": drawn},
            lengths=lengths,
        ),
    ]
    if config.bottleneck == "vq":
        codes = Port(
            shape=("batch", count), kind="integer", about="of an image", high=config.codebook.size
        )
        graphs.append(
            Graph(
                name="codebook",
                module=CodebookModule(tokenizer.codebook),
                inputs={"codes": codes},
                outputs={"tokens": tokens},
                lengths=lengths,
            )
        )
    return graphs


def generator_graph(network: DiT) -> Graph:
    """One evaluation of the network."""
    config = network.config
    latent = ("batch", config.num_tokens, config.channels)
    outputs = config.channels * config.objective.outputs
    by_text = config.condition == "text"
    labels = Port(
        shape=("batch",), kind="integer", about="classes; -1: none", low=-1, high=config.classes
    )
    text = _text_ports(config.text_width, config.text_tokens)
    return Graph(
        name="generator",
        module=(TextGenerator if by_text else ClassGenerator)(network),
        inputs={
            "tokens": Port(shape=latent, kind="normal", about="normalised latents with noise"),
            "time": Port(shape=("batch",), kind="time", about="0 at the data, 1 at the noise"),
            **(text if by_text else {"labels": labels}),
            **(MEAN_FLOW if network.mean_flow is not None else {}),
        },
        outputs={
            "output": Port(
                shape=(*latent[:2], outputs),
                kind="normal",
                about="velocity, or noise; then what else is learnt, as the variance",
            )
        },
        lengths={"text": 2},
    )


def text_graph(name: str, encoder: FrozenTextEncoder, config: TextConfig, vocabulary: int) -> Graph:
    """A text encoder behind its vocabulary of that size."""
    # With padding all captions are of one length.
    length: int | str = encoder.limit if config.padding else open_axis("length", encoder.limit)
    states: int | str = config.pool or length
    return Graph(
        name=name,
        module=TextModule(encoder, pool=config.pool),
        inputs={
            "ids": Port(
                shape=("batch", length), kind="integer", about="of the vocabulary", high=vocabulary
            ),
            "real": Port(shape=("batch", length), kind="mask", about="True but at padding", low=2),
        },
        outputs={
            "text_states": Port(
                shape=("batch", states, encoder.width), kind="normal", about=STATES
            ),
            "text_mask": Port(shape=("batch", states), kind="mask", about=MASK),
        },
        lengths={"length": min(7, encoder.limit - 1)},
    )


def _text_ports(width: int, tokens: int) -> dict[str, Port]:
    count = open_axis("text", tokens)
    return {
        "text_states": Port(shape=("batch", count, width), kind="normal", about=STATES),
        "text_mask": Port(shape=("batch", count), kind="mask", about=MASK),
    }
