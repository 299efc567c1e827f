from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.metrics.alignment import (
    STRENGTHS,
    draw_candidates,
    fit_text_probe,
    retrieval_ranks,
)

FEATURES, WIDTH = 24, 8


def pairs(count: int, *, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Embeddings (n, D) and features (n, F) that hold them linearly, with noise."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(WIDTH, FEATURES, generator=torch.Generator().manual_seed(99))
    embeddings = torch.randn(count, WIDTH, generator=generator) + 3
    disturbed = embeddings @ mixing + noise * torch.randn(count, FEATURES, generator=generator)
    return disturbed * 10 + 50, embeddings


def hits(features: Tensor, embeddings: Tensor, probe_noise: float, candidates: int = 20) -> float:
    probe = fit_text_probe(*pairs(400, noise=probe_noise, seed=1))
    ranks = retrieval_ranks(
        probe.predict(features),
        torch.arange(len(features)),
        probe.place(embeddings),
        draw_candidates(len(features), candidates),
    )
    return float((ranks < 1).double().mean())


def test_features_that_hold_the_caption_find_it() -> None:
    features, embeddings = pairs(100, noise=0.0)

    assert hits(features, embeddings, probe_noise=0.0) == 1.0


def test_features_that_hold_nothing_find_it_by_chance() -> None:
    _, embeddings = pairs(2000, noise=0.0)
    strangers = torch.randn(2000, FEATURES, generator=torch.Generator().manual_seed(7))

    assert hits(strangers, embeddings, probe_noise=0.0) == pytest.approx(1 / 20, abs=0.015)


def test_a_constant_feature_does_no_harm() -> None:
    features, embeddings = pairs(100, noise=0.0)
    features[:, 0] = 4.0

    assert bool(fit_text_probe(features, embeddings).predict(features).isfinite().all())


def test_noise_asks_for_a_stronger_penalty() -> None:
    clean = fit_text_probe(*pairs(60, noise=0.0))
    noisy = fit_text_probe(*pairs(60, noise=30.0))

    assert clean.strength == STRENGTHS[0]
    assert noisy.strength > clean.strength


@pytest.mark.parametrize("count", [50, FEATURES - 2])
def test_probe_is_ridge_regression(count: int) -> None:
    features, embeddings = pairs(count, noise=1.0)
    probe = fit_text_probe(features, embeddings)
    x = features.double()
    x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    y = embeddings.double() - embeddings.double().mean(dim=0)
    penalty = count * probe.strength * torch.eye(FEATURES, dtype=torch.float64)
    expected = torch.linalg.solve(x.T @ x + penalty, x.T @ y)

    torch.testing.assert_close(probe.weight, expected)


def test_too_few_pairs() -> None:
    with pytest.raises(ValueError, match="needs 10 captioned images or more, not 9"):
        fit_text_probe(*pairs(9, noise=0.0))


def test_candidates_are_the_own_caption_and_others() -> None:
    candidates = draw_candidates(30, 10)

    assert candidates.shape == (30, 10)
    assert candidates[:, 0].tolist() == list(range(30))
    assert all(len(set(row)) == 10 for row in candidates.tolist())
    assert set(candidates[:, 1:].flatten().tolist()) == set(range(30))
    assert torch.equal(candidates, draw_candidates(30, 10))
    assert draw_candidates(3, 10).sort(dim=1).values.tolist() == [[0, 1, 2]] * 3


def test_ranks_by_hand_and_ties_count_against() -> None:
    captions = torch.eye(3)
    predicted = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.1, 0.1], [1.0, 1.0, 1.0]])
    own = torch.tensor([0, 1, 2, 0])
    candidates = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 0, 1]])

    assert retrieval_ranks(predicted, own, captions, candidates).tolist() == [0, 1, 2, 2]
