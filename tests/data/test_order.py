from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from textok.data.order import Draw, Order, draw_generator, evenly_spaced


def order(
    *, size: int = 10, seed: int = 0, accumulate: int = 1, rank: int = 0, world: int = 1
) -> Order:
    return Order(
        size=size,
        seed=seed,
        global_batch=12,
        accumulate=accumulate,
        rank=rank,
        world_size=world,
    )


def test_every_pass_is_another_permutation_of_all_images() -> None:
    one = order()
    passes = [[one.at(10 * epoch + i) for i in range(10)] for epoch in range(3)]
    for epoch, draws in enumerate(passes):
        assert {draw.epoch for draw in draws} == {epoch}
        assert sorted(draw.image for draw in draws) == list(range(10))
    orders = {tuple(draw.image for draw in draws) for draws in passes}
    orders.add(tuple(order(seed=1).at(i).image for i in range(10)))
    assert len(orders) == 4


def test_micro_batch_a_of_rank_r_is_part_a_times_world_plus_r_of_its_step() -> None:
    whole = [order().at(position) for position in range(5 * 12)]
    assert list(islice(order().micro_batches(3), 2)) == [whole[36:48], whole[48:60]]
    for rank in range(2):
        shared = order(accumulate=3, rank=rank, world=2)
        parts = list(islice(shared.micro_batches(1), 6))  # two steps of three
        for number, part in enumerate(parts):
            step, a = divmod(number, 3)
            start = 12 * (1 + step) + 2 * (2 * a + rank)
            assert part == whole[start : start + 2]


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch of 12 .* 5 micro-batches .* multiple of 10"):
        order(accumulate=5, world=2)


def test_random_numbers_of_an_image_depend_on_seed_pass_and_image_alone() -> None:
    draws = [(seed, Draw(epoch, image)) for seed in (0, 1) for epoch in (0, 1) for image in (0, 1)]
    numbers = [draw_generator(seed, draw).random() for seed, draw in draws]
    assert len(set(numbers)) == 8
    assert numbers == [draw_generator(seed, draw).random() for seed, draw in draws]
    assert np.random.default_rng((0, 0, 1)).random() not in numbers  # that of the order


@pytest.mark.parametrize(
    ("size", "count", "places"),
    [(10, 3, [0, 3, 6]), (7, 7, [0, 1, 2, 3, 4, 5, 6]), (2, 5, [0, 1]), (5, 0, [])],
)
def test_evenly_spaced_places(size: int, count: int, places: list[int]) -> None:
    assert evenly_spaced(size, count) == places
