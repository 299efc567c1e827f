"""The DiT: sizes, adaLN-Zero, what a condition may and may not do, prepared steps, compile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from textok.config.generator import DIT_SIZES, DiTShape, GeneratorConfig, ObjectiveConfig
from textok.generator import DiT, dit
from textok.nn.adaptive_block import DiTBlock
from textok.types import Condition, TextFeatures

CONFIG = GeneratorConfig(
    num_tokens=6, channels=3, network=DiTShape(width=32, depth=2, heads=2), text_width=10,
    text_tokens=5, classes=4,
)  # fmt: skip
KINDS: dict[str, dict[str, object]] = {
    "class": {"condition": "class"},
    "text": {},
    "pooled": {"pooled_text": True},
    "qk_norm": {"qk_norm": True, "pooled_text": True},
    "ddpm": {"condition": "class", "objective": ObjectiveConfig(name="ddpm")},
}


def make(**changes: object) -> DiT:
    """A DiT whose zeros have been left behind, as after some training."""
    torch.manual_seed(0)
    network = DiT(dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network.eval()


def tokens(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 6, 3, generator=torch.Generator().manual_seed(1))


def text(lengths: tuple[int, ...] = (5, 0, 2), total: int = 5) -> Condition:
    states = torch.randn(len(lengths), total, 10, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(total) < torch.tensor(lengths)[:, None]
    return Condition(text=TextFeatures(states=states, mask=mask))


def condition(network: DiT) -> Condition:
    if network.config.condition == "class":
        return Condition(labels=torch.tensor([3, -1, 0]))
    return text()


TIMES = torch.tensor([0.9, 0.02, 0.4])


@pytest.mark.parametrize(
    ("size", "published", "exact"),
    [
        ("S", 33, 32_868_112),
        ("B", 130, 130_321_936),
        ("L", 458, 457_848_848),
        ("XL", 675, 674_843_920),
    ],
)
def test_published_sizes(size: str, published: int, exact: int) -> None:
    """Table 1 of the paper in millions; exactly: depth (18 D^2 + 15 D) + 3 D^2 + 1318 D + 16."""
    config = GeneratorConfig(
        num_tokens=32,
        channels=8,
        condition="class",
        classes=1000,
        network=DIT_SIZES[size],
        objective=ObjectiveConfig(name="ddpm"),
    )
    with torch.device("meta"):
        count = sum(p.numel() for p in DiT(config).parameters())
    assert count == exact
    assert abs(count / 1e6 - published) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_network_gives_zero_and_its_blocks_their_input(kind: str) -> None:
    torch.manual_seed(0)
    network = DiT(dataclasses.replace(CONFIG, **KINDS[kind]))  # type: ignore[arg-type]
    out = network(tokens(), TIMES, condition(network))
    assert out.shape == (3, 6, 6 if kind == "ddpm" else 3) and out.dtype == torch.float32
    assert not out.any()
    x_BKD, vector_BD = torch.randn(3, 6, 32), torch.randn(3, 32)
    _, read = network.reader(condition(network))
    for block in network.blocks:
        assert torch.equal(block(x_BKD, vector_BD, read), x_BKD)


def test_block_against_the_equations() -> None:
    """DiT section 3.2, with attention that returns its input and an MLP that doubles it."""
    block = DiTBlock(4, 1, reads_text=False, qk_norm=False, dropout=0)
    block.attention.forward = lambda x, visible: x  # type: ignore[method-assign]
    block.mlp = torch.nn.Identity()  # type: ignore[assignment]
    x = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])  # is its own LayerNorm
    shift1, scale1, gate1, shift2, scale2, gate2 = 0.0, 1.0, 0.5, 3.0, -1.0, 2.0
    modulation = torch.tensor([[shift1, scale1, gate1, shift2, scale2, gate2]])
    out = block.apply_prepared(x, modulation.repeat_interleave(4, dim=1), None)
    # x + 0.5 * 2 x = 2 x, then 2 x + 2 * (0 * norm + 3).
    torch.testing.assert_close(out, 2 * x + 6)


@pytest.mark.parametrize("kind", KINDS)
def test_prepared_steps_are_the_forward_pass(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make(**KINDS[kind])
    asked, x_BKC = condition(network), tokens()
    prepared = network.prepare(asked, TIMES)
    monkeypatch.setattr(dit, "TABLE_LIMIT", 0)
    without_tables = network.prepare(asked, TIMES)
    assert prepared.modulations is not None and without_tables.modulations is None
    assert len(prepared.modulations[0][0]) == (1 if kind == "text" else 3)
    for index, t in enumerate(TIMES):
        expected = network(x_BKC, t.expand(3), asked)
        for given in (prepared, without_tables):
            torch.testing.assert_close(
                network.step(x_BKC, index, given), expected, atol=1e-5, rtol=1e-5
            )
    assert (network.step(x_BKC, 0, prepared) - network.step(x_BKC, 1, prepared)).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_depends_on_itself_alone(kind: str) -> None:
    network = make(**KINDS[kind])
    asked, x_BKC = condition(network), tokens()
    together = network(x_BKC, TIMES, asked)
    for row in range(3):
        one = slice(row, row + 1)
        alone = network(x_BKC[one], TIMES[one], asked[one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["text", "pooled"])
def test_padding_has_no_influence(kind: str) -> None:
    network = make(**KINDS[kind])
    short = text((2, 2, 2), total=2)
    assert short.text is not None
    states = torch.cat([short.text.states, torch.full((3, 3, 10), 1e3)], dim=1)
    padded = Condition(text=TextFeatures(states=states, mask=torch.arange(5).expand(3, 5) < 2))
    torch.testing.assert_close(
        network(tokens(), TIMES, short), network(tokens(), TIMES, padded), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kind", ["text", "pooled"])
def test_absent_text_is_an_empty_mask(kind: str) -> None:
    network = make(**KINDS[kind])
    absent = network(tokens(), TIMES, text((0, 0, 0), total=0))
    assert absent.isfinite().all()
    torch.testing.assert_close(network(tokens(), TIMES, text().nothing()), absent)
    assert (network(tokens(), TIMES, text((5, 5, 5))) - absent).abs().max() > 0.01


def test_pooled_text_is_the_mean_of_the_real_states() -> None:
    network = make(pooled_text=True)
    two = text((2, 2, 0), total=2)
    assert two.text is not None
    mean = two.text.states.mean(1, keepdim=True)
    one = Condition(text=TextFeatures(states=mean, mask=torch.tensor([[True], [True], [False]])))
    pooled, _ = network.reader(two)
    torch.testing.assert_close(pooled, network.reader(one)[0])
    torch.testing.assert_close(pooled[2], network.reader.pooled.null)


def test_no_class_is_a_class_of_its_own() -> None:
    network = make(condition="class")
    rows, _ = network.reader(Condition(labels=torch.tensor([0, 3, -1])))
    assert torch.equal(rows, network.reader.table.weight[[0, 3, 4]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_receives_a_gradient(kind: str) -> None:
    network = make(**KINDS[kind]).train()
    network(tokens(), TIMES, condition(network)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_new_network_can_leave_zero() -> None:
    network = DiT(dataclasses.replace(CONFIG, pooled_text=True))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (network(tokens(), TIMES, text()) - tokens()).square().mean().backward()
        optimiser.step()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("kind", ["class", "pooled"])
def test_gradient_checkpointing_changes_nothing(kind: str) -> None:
    grads = []
    for on in (False, True):
        network = make(**KINDS[kind]).train()
        network.set_grad_checkpointing(on)
        network(tokens(), TIMES, condition(network)).square().mean().backward()
        grads.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("kind", ["class", "qk_norm"])
def test_bf16_stays_close_to_fp32(kind: str) -> None:
    network = make(**KINDS[kind])
    asked = condition(network)
    reference = network(tokens(), TIMES, asked)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(tokens(), TIMES, asked)
        step = network.step(tokens(), 0, network.prepare(asked, TIMES))
    assert out.dtype == step.dtype == torch.float32
    error = (out - reference).abs().max() / reference.std()
    assert 0 < error < 0.1
    torch.testing.assert_close(step[:1], out[:1], atol=1e-5, rtol=1e-5)
    half = network.to(torch.bfloat16)(tokens(), TIMES, asked)
    assert half.dtype == torch.float32
    assert (half - reference).abs().max() / reference.std() < 0.2


@pytest.mark.parametrize("kind", ["class", "qk_norm"])
def test_compiles_without_graph_breaks(kind: str) -> None:
    network = make(**KINDS[kind])
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    asked = condition(network)
    torch.testing.assert_close(
        compiled(tokens(), TIMES, asked), network(tokens(), TIMES, asked), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_tokens": 0}, "generator.num_tokens is 0"),
        ({"channels": 0}, "generator.channels is 0"),
        ({"condition": "class", "classes": 0}, "generator.classes is 0"),
        ({"text_width": 0}, "generator.text_width is 0"),
        ({"text_tokens": 0}, "generator.text_tokens is 0"),
    ],
)
def test_a_setting_that_is_still_zero_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(**changes)
    assert "\n" not in str(error.value)


def labels(*values: int) -> Condition:
    return Condition(labels=torch.tensor(values))


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        ("text", lambda n: n(tokens()[:, :5], TIMES, text()), r"\(3, 5, 3\).*takes \(3, 6, 3\)"),
        ("text", lambda n: n(tokens(2), TIMES, text()), r"\(2, 6, 3\).*condition of 3 rows"),
        ("text", lambda n: n(tokens(), TIMES[:2], text()), r"times have shape \(2,\) for 3 rows"),
        ("text", lambda n: n(tokens(), TIMES, labels(0, 1, 2)), "is a class, .* built for text"),
        ("class", lambda n: n(tokens(), TIMES, text()), "is a text, .* built for classes"),
        ("class", lambda n: n(tokens(), TIMES, labels(0, 1, 4)), "labels go from 0 to 4"),
        ("class", lambda n: n.prepare(labels(-2), TIMES), "labels go from -2 to -2"),
        ("text", lambda n: n.prepare(text((6,), total=6), TIMES), "6 tokens.*at most 5"),
        (
            "text",
            lambda n: n.step(tokens(2)[:, :, :2], 0, n.prepare(text(), TIMES)),
            r"\(2, 6, 2\)",
        ),
    ],
)
def test_wrong_input_is_one_clear_line(
    kind: str, call: Callable[[DiT], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call(make(**KINDS[kind]))
    assert "\n" not in str(error.value)


def test_text_of_another_encoder_is_refused() -> None:
    wide = TextFeatures(states=torch.zeros(3, 5, 12), mask=torch.ones(3, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="12 wide, this generator was built for 10"):
        make()(tokens(), TIMES, Condition(text=wide))
