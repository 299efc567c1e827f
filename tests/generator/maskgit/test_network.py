"""MaskGIT: the published networks, what may and may not have an influence, prepared steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.generator.maskgit.networks import (
    CONFIG,
    KINDS,
    MASK,
    K,
    V,
    codes,
    condition,
    labels,
    make,
    text,
)
from textok.config.maskgit import MaskGITConfig
from textok.config.tokenizer import ViTConfig
from textok.generator import MaskGIT
from textok.types import Condition, TextFeatures

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("architecture", "shape", "tokens", "exact"),
    [
        ("bert", ViTConfig(width=768, depth=24, heads=16), 32, 177_200_896),
        ("uvit", ViTConfig(width=1024, depth=20, heads=16), 128, 294_990_848),
    ],
)
def test_published_sizes(
    architecture: Literal["bert", "uvit"], shape: ViTConfig, tokens: int, exact: int
) -> None:
    """Of TiTok-L-32, which the paper gives 177 million, and of S-128.

    A block of BERT has 12 D^2 + 13 D; one of U-ViT 12 D^2 + 10 D, and 2 D^2 + D where it joins.
    """
    config = MaskGITConfig(
        num_tokens=tokens, codebook_size=4096, condition="class", classes=1000,
        architecture=architecture, network=shape,
    )  # fmt: skip
    with torch.device("meta"):
        count = sum(p.numel() for p in MaskGIT(config).parameters())
    width, around = shape.width, 2 + (4096 + 1) + 1001 + (1 + tokens) + 4096
    if architecture == "bert":
        blocks = 24 * (12 * width**2 + 13 * width)
    else:
        blocks = 21 * (12 * width**2 + 10 * width) + 10 * (2 * width**2 + width)
    assert count == blocks + around * width + 4096 == exact


@every_kind
def test_logits_for_every_code_of_every_token(kind: str) -> None:
    network = make(**KINDS[kind])
    out = network(codes(), MASK, condition(network))
    assert out.shape == (3, K, V) and out.dtype == torch.float32 and out.isfinite().all()


@every_kind
def test_a_hidden_code_is_not_seen_and_the_others_are_in_both_directions(kind: str) -> None:
    network = make(**KINDS[kind])
    asked, mask = condition(network), MASK[:1].expand(3, K)

    def change(place: int) -> Tensor:
        """Largest change of each token's logits when the code at ``place`` is another."""
        other = codes()
        other[:, place] = (other[:, place] + 1) % V
        apart = network(other, mask, asked) - network(codes(), mask, asked)
        return apart.abs().amax(dim=(0, 2))

    for place in range(K):
        if MASK[0, place]:
            assert not change(place).any()
        else:
            assert (change(place) > 1e-3).all()


@every_kind
def test_tokens_differ_by_their_position(kind: str) -> None:
    network = make(**KINDS[kind])
    out = network(codes(), torch.ones(3, K).bool(), condition(network))
    assert (out[:, 1:] - out[:, :-1]).abs().amax(dim=(0, 2)).min() > 1e-2


@every_kind
def test_each_row_depends_on_itself_alone(kind: str) -> None:
    network = make(**KINDS[kind])
    asked = condition(network)
    together = network(codes(), MASK, asked)
    for row in range(3):
        one = slice(row, row + 1)
        alone = network(codes()[one], MASK[one], asked[one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-5)


def test_the_condition_is_the_row_of_its_class_and_the_last_for_none() -> None:
    network = make(condition="class")
    token = network.prepare(labels(0, 3, -1)).token
    assert torch.equal(token, network.reader.table.weight[[0, 3, 4]])
    out = network(codes(1).expand(3, K), MASK[:1].expand(3, K), labels(0, 3, -1))
    assert min((out[0] - out[1]).abs().max(), (out[0] - out[2]).abs().max()) > 1e-2


@pytest.mark.parametrize("kind", ["bert text", "uvit text"])
def test_a_prompt_matters_by_its_mean_and_by_its_states(kind: str) -> None:
    network = make(**KINDS[kind])
    asked = text((5, 5, 5))
    assert asked.text is not None
    out = network(codes(), MASK, asked)
    assert (out - network(codes(), MASK, asked.nothing())).abs().max() > 1e-2
    # The same mean, other states.
    mean = asked.text.states.mean(dim=1, keepdim=True).expand(3, 5, 10)
    flat = Condition(text=TextFeatures(states=mean, mask=asked.text.mask))
    tokens = network.prepare(asked).token, network.prepare(flat).token
    torch.testing.assert_close(*tokens)
    assert (out - network(codes(), MASK, flat)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["bert text", "uvit text"])
def test_padding_has_no_influence_and_absent_text_is_an_empty_mask(kind: str) -> None:
    network = make(**KINDS[kind])
    short = text((2, 2, 2), total=2)
    assert short.text is not None
    states = torch.cat([short.text.states, torch.full((3, 3, 10), 1e3)], dim=1)
    padded = Condition(text=TextFeatures(states=states, mask=torch.arange(5).expand(3, 5) < 2))
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(
        network(codes(), MASK, short), network(codes(), MASK, padded), **close
    )
    absent = network(codes(), MASK, text((0, 0, 0), total=0))
    assert absent.isfinite().all()
    torch.testing.assert_close(network(codes(), MASK, text().nothing()), absent, **close)


@pytest.mark.parametrize("architecture", ["bert", "uvit"])
def test_a_new_network_reads_a_text_by_its_mean_alone(
    architecture: Literal["bert", "uvit"],
) -> None:
    torch.manual_seed(0)
    network = MaskGIT(dataclasses.replace(CONFIG, architecture=architecture))
    prepared = network.prepare(text())
    other = network.prepare(text((1, 4, 0)))
    hidden = torch.full((3, K), V)
    moved = type(prepared)(token=prepared.token, keys=other.keys)
    assert torch.equal(network.step(hidden, prepared), network.step(hidden, moved))


@every_kind
def test_prepared_steps_are_the_forward_pass(kind: str) -> None:
    network = make(**KINDS[kind])
    asked = condition(network)
    expected = network(codes(), MASK, asked)
    out = network.step(torch.where(MASK, V, codes()), network.prepare(asked))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


@every_kind
def test_every_parameter_receives_a_gradient(kind: str) -> None:
    network = make(**KINDS[kind]).train()
    network(codes(), MASK, condition(network)).square().mean().backward()
    still = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == set()


@every_kind
def test_gradient_checkpointing_changes_nothing(kind: str) -> None:
    grads = []
    for on in (False, True):
        network = make(**KINDS[kind]).train()
        network.set_grad_checkpointing(on)
        network(codes(), MASK, condition(network)).square().mean().backward()
        grads.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


@every_kind
def test_dropout_is_of_training_alone_and_of_attention_weights_too(kind: str) -> None:
    network = make(**KINDS[kind], dropout=0.3)
    without = make(**KINDS[kind])
    asked = condition(network)
    assert torch.equal(network(codes(), MASK, asked), without(codes(), MASK, asked))
    network.train()
    out = [network(codes(), MASK, asked) for _ in range(2)]
    assert (out[0] - out[1]).abs().max() > 1e-2
    attention = network.blocks[0].attention
    x_BSD = torch.randn(1, 4, 32)
    assert not torch.equal(attention(x_BSD), attention(x_BSD))


@every_kind
def test_bf16_stays_close_to_fp32(kind: str) -> None:
    network = make(**KINDS[kind])
    asked = condition(network)
    reference = network(codes(), MASK, asked)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(codes(), MASK, asked)
    half = network.to(torch.bfloat16)(codes(), MASK, asked)
    assert out.dtype == half.dtype == torch.float32
    for other in (out, half):
        assert 0 < (other - reference).abs().max() / reference.std() < 0.25


def test_compiles_without_graph_breaks() -> None:
    shape = ViTConfig(width=32, depth=2, heads=2)
    network = make(condition="class", architecture="uvit", network=shape)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    asked = condition(network)
    torch.testing.assert_close(
        compiled(codes(), MASK, asked), network(codes(), MASK, asked), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_tokens": 0}, "generator.num_tokens is 0"),
        ({"codebook_size": 0}, "generator.codebook_size is 0"),
        ({"condition": "class", "classes": 0}, "generator.classes is 0"),
        ({"text_width": 0}, "generator.text_width is 0"),
    ],
)
def test_a_setting_that_is_still_zero_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        ("bert", lambda n: n(codes() - 1, MASK, labels(0, 1, 2)), "codes go from -1 to .* 0 to 10"),
        ("uvit", lambda n: n(codes() + V, MASK, labels(0, 1, 2)), "codes go from 1[1-9] to"),
        ("bert", lambda n: n(codes()[:, :5], MASK, labels(0, 1, 2)), r"\(3, 5\).*takes \(3, 6\)"),
        ("bert", lambda n: n(codes(2), MASK, labels(0, 1, 2)), r"\(2, 6\).*condition of 3 rows"),
        (
            "bert",
            lambda n: n(codes(), MASK[:, :5], labels(0, 1, 2)),
            r"mask is torch.bool \(3, 5\), it must be bool like the codes' \(3, 6\)",
        ),
        ("bert", lambda n: n(codes(), MASK.long(), labels(0, 1, 2)), "mask is torch.int64"),
        ("bert", lambda n: n(codes(), MASK, text()), "is a text, .* built for classes"),
        ("bert text", lambda n: n(codes(), MASK, labels(0, 1, 2)), "is a class, .* for text"),
        ("uvit", lambda n: n(codes(), MASK, labels(0, 1, 4)), "labels go from 0 to 4"),
        ("bert", lambda n: n.prepare(labels(-2)), "labels go from -2 to -2"),
        ("bert", lambda n: n.step(codes(2), n.prepare(labels(0))), r"\(2, 6\)"),
    ],
)
def test_wrong_input_is_one_clear_line(
    kind: str, call: Callable[[MaskGIT], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call(make(**KINDS[kind]))
    assert "\n" not in str(error.value)
