from __future__ import annotations

import math

import pytest
import torch

from textok.nn.codebook import Codebook, RevivingCodebook, code_use


def made(vectors: list[list[float]], *, l2_norm: bool, kind: type[Codebook] = Codebook) -> Codebook:
    codebook = kind(len(vectors), len(vectors[0]), l2_norm=l2_norm)
    codebook.load_state_dict({"vectors": torch.tensor(vectors)}, strict=False)
    return codebook


def test_each_input_takes_the_nearest_vector() -> None:
    codebook = made([[0.0, 0.0], [3.0, 4.0]], l2_norm=False)
    vectors, codes = codebook(torch.tensor([[[1.0, 1.0], [2.0, 3.0]], [[9.0, 9.0], [0.0, -1.0]]]))
    assert codes.tolist() == [[0, 1], [1, 0]] and codes.dtype == torch.int64
    assert torch.equal(vectors, codebook.lookup(codes))
    assert vectors[0].tolist() == [[0.0, 0.0], [3.0, 4.0]]


def test_directions_alone_are_compared_and_given_with_l2_norm() -> None:
    codebook = made([[0.1, 0.0], [0.0, 50.0]], l2_norm=True)
    vectors, codes = codebook(torch.tensor([[60.0, 1.0], [0.001, 0.002]]))
    assert codes.tolist() == [0, 1]
    assert torch.allclose(vectors, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def test_the_gradient_passes_straight_through_to_the_input_alone() -> None:
    codebook = made([[0.0, 0.0], [3.0, 4.0]], l2_norm=False)
    x = torch.tensor([[2.0, 3.0]], requires_grad=True)
    vectors, _ = codebook(x)
    (vectors * torch.tensor([5.0, 7.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[5.0, 7.0]]
    assert codebook.vectors.grad is None


def test_the_two_losses_move_one_side_each() -> None:
    codebook = made([[0.0, 0.0], [3.0, 4.0]], l2_norm=False)
    x = torch.tensor([[2.0, 2.0]], requires_grad=True)
    to_input, to_code = codebook.losses(x, torch.tensor([1]))
    assert to_input.item() == to_code.item() == pytest.approx((1 + 4) / 2)
    to_input.backward()
    assert x.grad is None
    # d/dv of ((3 - 2)^2 + (4 - 2)^2) / 2
    assert codebook.vectors.grad is not None
    assert codebook.vectors.grad.tolist() == [[0.0, 0.0], [1.0, 2.0]]
    codebook.vectors.grad = None
    to_code.backward()
    assert codebook.vectors.grad is None
    assert x.grad is not None and x.grad.tolist() == [[-1.0, -2.0]]


def test_bf16_inputs_are_compared_in_float32() -> None:
    codebook = made([[1.0], [1.002]], l2_norm=False)
    with torch.autocast("cpu", torch.bfloat16):
        vectors, codes = codebook(torch.tensor([[1.0019], [1.0001]]))
    assert codes.tolist() == [1, 0] and vectors.dtype == torch.float32


@pytest.mark.parametrize(("codes", "low", "high"), [([0, 2], 0, 2), ([-1, 1], -1, 1)])
def test_a_code_that_there_is_not_is_refused(codes: list[int], low: int, high: int) -> None:
    codebook = made([[0.0], [1.0]], l2_norm=False)
    with pytest.raises(ValueError, match=f"^codes go from {low} to {high}, this .* has 0 to 1$"):
        codebook.lookup(torch.tensor(codes))


def test_unused_codes_move_to_their_nearest_inputs_and_used_ones_stay() -> None:
    codebook = made([[0.0, 0.0], [100.0, 100.0]], l2_norm=False, kind=RevivingCodebook)
    assert isinstance(codebook, RevivingCodebook)
    x = torch.tensor([[0.5, 0.0], [0.0, 0.5], [7.0, 9.0]])
    codes = torch.tensor([0, 0, 0])
    codebook.revive(x, codes)
    # All inputs took code 0: its average share is 0.01, so its reach exp(-0.01 * 2 * 10 / 0.01).
    assert codebook.use.tolist() == pytest.approx([0.01, 0.0])
    assert codebook.vectors[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    reach = math.exp(-1e-3)
    expected = [100 + reach * (7 - 100), 100 + reach * (9 - 100)]
    assert codebook.vectors[1].tolist() == pytest.approx(expected, rel=1e-5)


def test_revived_directions_stay_of_length_1() -> None:
    torch.manual_seed(0)
    codebook = RevivingCodebook(16, 4, l2_norm=True)
    x = 30 * torch.randn(40, 4)
    for _ in range(5):
        codebook.revive(x, codebook(x)[1])
    lengths = codebook.vectors.norm(dim=1)
    assert lengths.max() < 1 + 1e-6 and lengths.min() > 0.9


def test_revival_does_not_depend_on_how_many_distances_are_held_at_once(monkeypatch) -> None:
    torch.manual_seed(0)
    x, codes = torch.randn(40, 4), torch.randint(0, 3, (40,))
    whole, parts = (RevivingCodebook(16, 4, l2_norm=True) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    whole.revive(x, codes)
    monkeypatch.setattr("textok.nn.codebook.CHUNK", 100)
    parts.revive(x, codes)
    assert torch.equal(whole.vectors, parts.vectors)


def test_use_and_perplexity() -> None:
    assert code_use(torch.tensor([5, 5, 5, 5])) == pytest.approx((1.0, 4.0))
    assert code_use(torch.tensor([8, 0, 0, 0])) == pytest.approx((0.25, 1.0))
    share, perplexity = code_use(torch.tensor([3, 1, 0, 0]))
    assert share == 0.5
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert perplexity == pytest.approx(math.exp(entropy))
