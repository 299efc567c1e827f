"""The tokenizer: shapes, what text may and may not do, budgets, compile."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F

from textok.config import TokenizerConfig, ViTConfig
from textok.nn import block
from textok.tokenizer import Tokenizer, kl_divergence
from textok.tokenizer.transformer import Trunk
from textok.types import Latents, TextFeatures

SMALL = ViTConfig(width=32, depth=2, heads=2)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=6,
    channels=3,
    text_width=10,
    text_tokens=5,
    encoder=SMALL,
    decoder=SMALL,
)


def make(**changes: object) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


def images(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def text(lengths: tuple[int, ...] = (5, 2), total: int = 5) -> TextFeatures:
    states = torch.randn(len(lengths), total, 10, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(total) < torch.tensor(lengths)[:, None]
    return TextFeatures(states=states, mask=mask)


def test_shapes() -> None:
    model = make()
    latents = model.encode(images(), text())
    assert latents.mean.shape == (2, 6, 3)
    assert latents.logvar is not None and latents.logvar.shape == (2, 6, 3)
    assert model.decode(latents, text()).shape == (2, 3, 16, 16)


def test_patches_come_back_in_place() -> None:
    """With the trunk silenced, each output patch depends on its own query alone."""
    model = make()
    model.decoder.trunk.blocks = torch.nn.ModuleList()  # type: ignore[union-attr]
    model.decoder.trunk.norm = torch.nn.Identity()  # type: ignore[assignment]
    before = model.decode(torch.zeros(1, 6, 3))
    with torch.no_grad():
        model.decoder.queries[6] += 1.0  # second row, third column of the 4 x 4 grid
    changed = (model.decode(torch.zeros(1, 6, 3)) - before).abs().sum(1)[0] > 0
    rows, columns = torch.nonzero(changed, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 8, 11)


@pytest.mark.parametrize("layout", ["textok", "titok"])
@pytest.mark.parametrize("caption", [True, False])
def test_the_last_block_makes_only_what_is_read(
    layout: Literal["textok", "titok"], caption: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = make(layout=layout), text() if caption else None
    depth, made = CONFIG.encoder.depth, list[int]()
    attend = block.attend

    def spy(q: torch.Tensor, *given: Any) -> torch.Tensor:
        made.append(q.shape[2])
        return attend(q, *given)

    monkeypatch.setattr(block, "attend", spy)
    for gradients in (True, False):
        made.clear()
        with torch.set_grad_enabled(gradients):
            found = model(images(), read).images
        assert (made[depth - 1], made[-1]) == (6, 16)
        assert min(made[0], made[depth]) >= 16 + 6
    # Where the last block's states are asked for, it makes all.
    made.clear()
    asked = model(images(), read, hidden_after=CONFIG.decoder.depth)
    assert asked.hidden is not None and asked.hidden.shape[1] == 16 and made[-1] > 16
    torch.testing.assert_close(asked.images, found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ["textok", "titok"])
@pytest.mark.parametrize("recomputed", [False, True])
def test_gradients_are_those_of_a_whole_last_block(
    layout: Literal["textok", "titok"], recomputed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    trunk = Trunk(SMALL, layout=layout, qk_norm=True).double()
    given = torch.randn(2, 9, 32, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 32, dtype=torch.float64)
    keys = torch.arange(9) < torch.tensor([[9], [7]])
    learned = list(trunk.parameters())
    monkeypatch.setattr(block, "attend", F.scaled_dot_product_attention)  # in float64 too
    trunk.grad_checkpointing = recomputed

    def gradients(hidden_after: int) -> tuple[torch.Tensor, ...]:
        out, hidden = trunk.with_hidden(given, keys, hidden_after, read=slice(4, 7))
        loss = (out * weight).sum()
        if hidden is not None:
            loss = loss + hidden.square().mean()
        return torch.autograd.grad(loss, [given, *learned])

    short = [gradients(0), gradients(1)]
    forward = block.Block.forward

    def whole(self: Any, x: Any, keys: Any = None, read: Any = None) -> torch.Tensor:
        made = forward(self, x, keys)
        return made if read is None else made[:, read]

    monkeypatch.setattr(block.Block, "forward", whole)
    trunk.grad_checkpointing = False
    for found, hidden_after in zip(short, (0, 1), strict=True):
        torch.testing.assert_close(found, gradients(hidden_after), atol=1e-12, rtol=1e-12)


def test_pad_tokens_have_no_influence() -> None:
    model = make()
    short, padded = text((2, 2), total=2), text((2, 2), total=5)
    padded = TextFeatures(
        states=torch.cat([short.states, torch.full((2, 3, 10), 1e3)], dim=1), mask=padded.mask
    )
    a, b = model.encode(images(), short), model.encode(images(), padded)
    torch.testing.assert_close(a.mean, b.mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        model.decode(a, short), model.decode(a, padded), atol=1e-6, rtol=1e-5
    )


def test_absent_caption_equals_no_text() -> None:
    model = make()
    absent = text((0, 0))
    torch.testing.assert_close(
        model.encode(images(), absent).mean, model.encode(images(), None).mean
    )
    one_dropped = text((5, 5)).drop(torch.tensor([True, False]))
    mixed = model.encode(images(), one_dropped).mean
    torch.testing.assert_close(mixed[:1], model.encode(images(), None).mean[:1])
    torch.testing.assert_close(mixed[1:], model.encode(images(), text((5, 5))).mean[1:])


@pytest.mark.parametrize(
    ("where", "encoder_reads", "decoder_reads"),
    [
        ("both", True, True),
        ("encoder", True, False),
        ("decoder", False, True),
        ("none", False, False),
    ],
)
def test_text_goes_where_the_setting_says(
    where: str, encoder_reads: bool, decoder_reads: bool
) -> None:
    model = make(text=where)
    with_text, without = model.encode(images(), text()), model.encode(images())
    assert bool((with_text.mean != without.mean).any()) is encoder_reads
    tokens = without.mean
    assert bool((model.decode(tokens, text()) != model.decode(tokens)).any()) is decoder_reads
    names = [name for name, _ in model.named_parameters() if ".text." in name]
    assert any(n.startswith("encoder") for n in names) is encoder_reads
    assert any(n.startswith("decoder") for n in names) is decoder_reads


def test_every_parameter_receives_a_gradient() -> None:
    model = make(nested=True, qk_norm=True)
    keep = torch.tensor([6, 2])
    out = model(images(), text(), noise_BKC=torch.randn(2, 6, 3), keep_B=keep)
    (out.images.square().mean() + kl_divergence(out.latents).mean()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_fewer_tokens_decode_as_the_masked_training_pass() -> None:
    model = make(nested=True)
    trained = model(images(), text(), keep_B=torch.tensor([3, 3])).images
    short = model.encode(images(), text(), num_tokens=3)
    assert short.mean.shape == (2, 3, 3)
    torch.testing.assert_close(model.decode(short, text()), trained, atol=1e-6, rtol=1e-5)


def test_drawn_budgets_are_uniform_over_one_to_k() -> None:
    keep = make().draw_keep(6000, torch.Generator().manual_seed(0))
    counts = torch.bincount(keep, minlength=7)
    assert counts[0] == 0 and len(counts) == 7
    assert (counts[1:] - 1000).abs().max() < 120


def test_batch_of_one_equals_its_row() -> None:
    model = make()
    both = model.decode(model.encode(images(), text()), text())
    alone = model.decode(model.encode(images()[1:], text()[1:]), text()[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_noise_moves_tokens_by_the_deviation() -> None:
    latents = Latents(mean=torch.ones(1, 2, 2), logvar=torch.full((1, 2, 2), 2.0))
    expected = 1 + 2.0 * torch.e  # exp(logvar / 2) = e
    torch.testing.assert_close(
        latents.sample(torch.full((1, 2, 2), 2.0)), torch.full((1, 2, 2), expected)
    )
    assert make(bottleneck="ae").encode(images()).logvar is None


def test_kl_against_hand_computed_values() -> None:
    # One value: 0.5 * (mean^2 + var - 1 - ln var).
    latents = Latents(mean=torch.tensor([[[0.0], [2.0]]]), logvar=torch.tensor([[[0.0], [1.0]]]))
    torch.testing.assert_close(kl_divergence(latents), torch.tensor([0.5 * (4 + torch.e - 2)]))
    assert kl_divergence(Latents(mean=torch.ones(3, 2, 2))).tolist() == [0, 0, 0]


def test_initial_logvar_is_where_the_spread_starts() -> None:
    logvar = make(initial_logvar=-5.0).encode(images()).logvar
    assert logvar is not None
    torch.testing.assert_close(logvar, torch.full_like(logvar, -5.0))


def test_gradient_checkpointing_changes_nothing() -> None:
    grads = []
    for on in (False, True):
        model = make().train()
        model.set_grad_checkpointing(on)
        model(images(), text()).images.square().mean().backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


def test_bf16_weights_stay_close_to_fp32() -> None:
    model = make()
    reference = model.decode(model.encode(images(), text()), text())
    half = model.to(torch.bfloat16)
    out = half.decode(half.encode(images(), text()), text())
    assert out.dtype == torch.float32
    assert (out - reference).abs().max() < 0.02


def test_compiles_without_graph_breaks() -> None:
    model = make()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    keep = torch.tensor([6, 2])
    torch.testing.assert_close(
        compiled(images(), text(), keep_B=keep).images,
        model(images(), text(), keep_B=keep).images,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(torch.zeros(1, 3, 8, 8)), r"\(1, 3, 8, 8\).*\(B, 3, 16, 16\)"),
        (lambda m: m.encode(torch.zeros(3, 16, 16)), r"takes \(B, 3, 16, 16\)"),
        (lambda m: m.encode(images(), num_tokens=7), "num_tokens is 7.* 1 to 6"),
        (lambda m: m.decode(torch.zeros(1, 7, 3)), r"\(1, 7, 3\).*1\.\.6"),
        (lambda m: m.decode(torch.zeros(1, 6, 4)), r"\(1, 6, 4\)"),
        (lambda m: m.encode(images(), text((9, 9), total=9)), "9 tokens a caption.*at most 5"),
    ],
)
def test_wrong_input_is_one_clear_line(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call(make())  # type: ignore[operator]
    assert "\n" not in str(error.value)


def test_paper_tokenizer_has_176_million_parameters() -> None:
    with torch.device("meta"):
        model = Tokenizer(TokenizerConfig(text_width=2048))
    assert sum(p.numel() for p in model.parameters()) == 175_540_432
