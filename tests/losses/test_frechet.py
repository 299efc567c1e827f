"""The Frechet loss: its gradient is that of the distance, and it is zero where the sets agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.losses.frechet import FrechetLoss, Population, Reference
from textok.metrics.frechet import FeatureStatistics, frechet_distance


def features(count: int, width: int, *, seed: int, stretch: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    mixed = torch.randn(width, width, generator=random, dtype=torch.float64) * stretch
    normal = torch.randn(count, width, generator=random, dtype=torch.float64)
    return normal @ mixed + torch.randn(width, generator=random, dtype=torch.float64)


def moments(given: Tensor) -> tuple[Tensor, Tensor]:
    mean = given.mean(dim=0)
    return mean, (given - mean).T @ (given - mean) / len(given)


def reference(given: Tensor, **options: float) -> Reference:
    return Reference.of(*moments(given), **options)


def exact(given: Tensor, to: Tensor, ridge: float) -> Tensor:
    """The distance by its definition, with autograd through both roots."""

    def root(matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        return vectors @ torch.diag(values.sqrt()) @ vectors.T

    (mean, covariance), (mean_r, covariance_r) = moments(given), moments(to)
    added = ridge * covariance_r.trace() / len(mean) * torch.eye(len(mean), dtype=torch.float64)
    covariance, covariance_r = covariance + added, covariance_r + added
    inner = root(covariance_r) @ covariance @ root(covariance_r)
    trace = (covariance + covariance_r - 2 * root(inner)).trace()
    return (mean - mean_r).square().sum() + trace


def filled(given: Tensor, to: Tensor, **options: float) -> Population:
    population = Population(reference(to, **options), size=len(given), every=1)
    population.update(given)
    return population


def test_the_gradient_is_that_of_the_distance() -> None:
    made, real = features(40, 6, seed=0), features(50, 6, seed=1, stretch=2)
    made.requires_grad_()
    exact(made, real, 1e-3).backward()
    expected = made.grad
    assert expected is not None
    population = filled(made, real)
    batch = made.detach().float().requires_grad_()
    (population(batch) * population.reference.variance).backward()
    assert batch.grad is not None
    torch.testing.assert_close(batch.grad.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    made, real = features(20, 3, seed=2), features(30, 3, seed=3)
    population = filled(made, real)
    batch = made.float().requires_grad_()
    (population(batch) * population.reference.variance).backward()
    assert batch.grad is not None
    for row, column in ((0, 0), (7, 1), (19, 2)):
        step = torch.zeros_like(made)
        step[row, column] = 1e-5
        up, down = (float(filled(made + sign * step, real).distance) for sign in (1, -1))
        assert float(batch.grad[row, column]) == pytest.approx((up - down) / 2e-5, rel=1e-3)


def test_over_the_whole_population_the_loss_is_the_distance() -> None:
    made, real = features(500, 8, seed=4), features(400, 8, seed=5, stretch=3)
    population = filled(made, real, ridge=0.0)
    loss = float(population(made.float())) * population.reference.variance
    assert loss == pytest.approx(float(population.distance), rel=1e-4)
    # The metric divides by one sample less.
    measured = frechet_distance(FeatureStatistics.of(made), FeatureStatistics.of(real))
    assert float(population.distance) == pytest.approx(measured, rel=0.01)


def test_the_distance_of_two_lines_by_hand() -> None:
    # Means 1 and 4, standard deviations 1 and 2: 3^2 + (2 - 1)^2; the map is x -> 4 + 2 (x - 1).
    made = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    real = torch.tensor([[2.0], [6.0]], dtype=torch.float64)
    population = filled(made, real, ridge=0.0)
    assert float(population.distance) == pytest.approx(10)
    assert float(population.matrix) == pytest.approx(2)
    # From 3 to 4 + 2 * 2 = 8: 25, of a variance of 4.
    assert float(population(torch.tensor([[3.0]]))) == pytest.approx(25 / 4)


def test_at_equality_there_is_neither_distance_nor_gradient() -> None:
    real = features(100, 10, seed=6)
    population = filled(real, real)
    batch = real[:7].float().requires_grad_()
    population(batch).backward()
    assert float(population.distance) == pytest.approx(0, abs=1e-9)
    assert batch.grad is not None and float(batch.grad.abs().max()) < 1e-5


def test_a_rotation_and_a_shift_of_both_change_nothing() -> None:
    made, real = features(60, 5, seed=7), features(70, 5, seed=8)
    turn = torch.linalg.qr(features(5, 5, seed=9)).Q
    moved = filled(made @ turn + 3, real @ turn + 3)
    assert float(moved.distance) == pytest.approx(float(filled(made, real).distance), rel=1e-9)
    loss = float(moved((made @ turn + 3).float()))
    assert loss == pytest.approx(float(filled(made, real)(made.float())), rel=1e-4)


def test_a_population_that_does_not_vary_has_finite_gradients() -> None:
    real = features(50, 4, seed=10)
    same = torch.zeros(10, 4, dtype=torch.float64)
    population = filled(same, real)
    batch = torch.zeros(3, 4, requires_grad=True)
    loss = population(batch)
    loss.backward()
    # All on one point: the distance of the means, no map of what does not vary.
    expected = 2 * (0 - population.reference.mean) / population.reference.variance / 3
    assert batch.grad is not None
    torch.testing.assert_close(batch.grad[0].double(), expected, rtol=1e-4, atol=1e-6)
    assert bool(torch.isfinite(population.matrix).all())


def test_a_population_is_exact_until_it_is_full_and_then_fades() -> None:
    parts = features(40, 3, seed=11).split(10)
    population = Population(reference(features(40, 3, seed=12)), size=30, every=1)
    for part in parts[:3]:
        assert not population.filled
        population.update(part)
    assert population.filled
    mean, covariance = moments(torch.cat(parts[:3]))
    torch.testing.assert_close(population.mean, mean)
    torch.testing.assert_close(population.covariance, covariance)
    population.update(parts[3])
    torch.testing.assert_close(population.mean, 2 / 3 * mean + 1 / 3 * parts[3].mean(dim=0))


def test_the_map_is_computed_when_full_and_then_every_so_many_updates() -> None:
    parts = features(60, 3, seed=13).split(10)
    population = Population(reference(features(40, 3, seed=14)), size=20, every=3)
    seen = []
    for part in parts:
        population.update(part)
        seen.append(float(population.distance))
    assert seen[0] == 0 and seen[1] > 0
    assert seen[1] == seen[2] == seen[3] != seen[4] == seen[5]


def test_the_state_is_all_that_a_population_remembers() -> None:
    parts = features(60, 3, seed=15).split(10)
    real = reference(features(40, 3, seed=16))
    whole = Population(real, size=20, every=3)
    for part in parts[:4]:
        whole.update(part)
    copy = Population(real, size=20, every=3)
    copy.load_state_dict(whole.state_dict())
    for part in parts[4:]:
        whole.update(part)
        copy.update(part)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, copy.state_dict()[name]), name


def test_the_loss_of_several_networks_is_their_mean_once_all_are_full() -> None:
    real = torch.rand(30, 3, 2, 2, dtype=torch.float64)
    made = torch.rand(20, 3, 2, 2) - 0.7
    networks = {"all": lambda x: x.flatten(1), "means": lambda x: x.mean(dim=(2, 3))}
    populations = {
        name: Population(reference(network(real)), size=20, every=1)
        for name, network in networks.items()
    }
    loss = FrechetLoss(networks, populations)
    images = made.clone().requires_grad_()
    before = loss(images)
    assert float(before.loss) == 0 and not before.loss.requires_grad and not loss.filled
    loss.update(before.features)
    assert loss.filled and set(loss.distances()) == {"fd_all", "fd_means"}
    after = loss(images)
    each = [float(populations[name](networks[name](made))) for name in networks]
    assert float(after.loss.detach()) == pytest.approx(sum(each) / 2)
    after.loss.backward()
    assert images.grad is not None and float(images.grad.abs().sum()) > 0


def test_pictures_that_are_all_the_same_are_no_reference() -> None:
    with pytest.raises(ValueError, match="the same features"):
        Reference.of(torch.zeros(3), torch.zeros(3, 3))
