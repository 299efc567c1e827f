"""The networks against the published ones: BERT's of transformers, U-ViT's written out."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from tests.generator.maskgit.networks import CONFIG, MASK, K, V, codes, labels, make
from textok.generator import MaskGIT

ASKED = labels(3, -1, 0)


def published_sequence() -> Tensor:
    """One vocabulary: V codes, the mask, 4 classes, no class."""
    shown = torch.where(MASK, V, codes())
    return torch.cat([torch.tensor([[V + 1 + 3], [V + 1 + 4], [V + 1]]), shown], dim=1)


def bert_of(network: MaskGIT) -> BertModel:
    """BERT with the weights of ``network``."""
    shape = network.config.network
    bert = BertModel(
        BertConfig(
            vocab_size=V + 1 + 5,
            hidden_size=shape.width,
            num_hidden_layers=shape.depth,
            num_attention_heads=shape.heads,
            intermediate_size=4 * shape.width,
            max_position_embeddings=1 + K,
            layer_norm_eps=1e-12,
            pad_token_id=None,
        ),
        add_pooling_layer=False,
    ).eval()
    ours = network.state_dict()
    state: dict[str, Tensor] = {
        "embeddings.word_embeddings.weight": torch.cat(
            [ours["embed.weight"], ours["reader.table.weight"]]
        ),
        "embeddings.position_embeddings.weight": ours["positions"],
        "embeddings.token_type_embeddings.weight": torch.zeros(2, shape.width),
    }

    def take(theirs: str, our: str) -> None:
        for name in ("weight", "bias"):
            state[f"{theirs}.{name}"] = ours[f"{our}.{name}"]

    take("embeddings.LayerNorm", "norm_in")
    for index in range(shape.depth):
        layer, block = f"encoder.layer.{index}", f"blocks.{index}"
        for name in ("weight", "bias"):
            parts = ours[f"{block}.attention.qkv.{name}"].chunk(3)
            for part, tensor in zip(("query", "key", "value"), parts, strict=True):
                state[f"{layer}.attention.self.{part}.{name}"] = tensor
        take(f"{layer}.attention.output.dense", f"{block}.attention.out")
        take(f"{layer}.attention.output.LayerNorm", f"{block}.norm1")
        take(f"{layer}.intermediate.dense", f"{block}.mlp.0")
        take(f"{layer}.output.dense", f"{block}.mlp.2")
        take(f"{layer}.output.LayerNorm", f"{block}.norm2")
    problems = bert.load_state_dict(state, strict=False)
    assert not problems.unexpected_keys and set(problems.missing_keys) <= {
        "embeddings.position_ids",
        "embeddings.token_type_ids",
    }
    return bert


@torch.no_grad()
def test_bert() -> None:
    network = make(condition="class")
    states = bert_of(network)(input_ids=published_sequence()).last_hidden_state
    expected = network.head(states[:, 1:])
    out = network(codes(), MASK, ASKED)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def uvit(state: dict[str, Tensor], ids_BS: Tensor, depth: int, heads: int) -> Tensor:
    """The formulae of U-ViT (arXiv 2209.12152, section 3), one after the other."""

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", torch.zeros(()))

    def norm(x: Tensor, name: str) -> Tensor:
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attention(x: Tensor, name: str) -> Tensor:
        assert f"{name}.qkv.bias" not in state
        rows, length, width = x.shape
        q, k, v = (
            part.reshape(rows, length, heads, width // heads).transpose(1, 2)
            for part in linear(x, f"{name}.qkv").chunk(3, dim=-1)
        )
        weights = (q @ k.transpose(2, 3) / math.sqrt(width // heads)).softmax(dim=-1)
        return linear((weights @ v).transpose(1, 2).reshape(rows, length, width), f"{name}.out")

    def gelu(x: Tensor) -> Tensor:
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    def block(x: Tensor, name: str) -> Tensor:
        x = x + attention(norm(x, f"{name}.norm1"), f"{name}.attention")
        inner = gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.0"))
        return x + linear(inner, f"{name}.mlp.2")

    table = torch.cat([state["embed.weight"], state["reader.table.weight"]])
    x = table[ids_BS] + state["positions"]
    half, outputs = depth // 2, {}
    for index in range(depth + 1):
        if index > half:
            # The first of the second half meets the last of the first half.
            skip = outputs[depth - index]
            x = linear(torch.cat([x, skip], dim=-1), f"blocks.{index}.skip")
        x = outputs[index] = block(x, f"blocks.{index}")
    return linear(norm(x, "norm")[:, 1:], "head")


@torch.no_grad()
def test_uvit() -> None:
    network = make(condition="class", architecture="uvit")
    shape = CONFIG.network
    expected = uvit(network.state_dict(), published_sequence(), shape.depth, shape.heads)
    out = network(codes(), MASK, ASKED)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_state_keys_are_those_that_weights_are_converted_to() -> None:
    bert = set(make(condition="class").state_dict())
    uvit = set(make(condition="class", architecture="uvit").state_dict())
    both = {"embed.weight", "reader.table.weight", "positions", "head.weight", "head.bias"}
    parts = ("attention.qkv", "attention.out", "norm1", "mlp.0", "mlp.2", "norm2")

    def layers(*names: str) -> set[str]:
        return {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}

    assert bert == both | layers("norm_in", *(f"blocks.{i}.{p}" for i in range(4) for p in parts))
    blocks = layers(*(f"blocks.{i}.{part}" for i in range(5) for part in parts))
    blocks -= {f"blocks.{i}.attention.qkv.bias" for i in range(5)}
    assert uvit == both | blocks | layers("norm", "blocks.3.skip", "blocks.4.skip")
