"""How processes share a step, and that training exchanges nothing between them in another way."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from accelerate import Accelerator

import textok.train
from tests.train.tasks import one_process
from textok.train.distributed import Distributed, join_distributed


def process(rank: int, world_size: int) -> Distributed:
    accelerator = SimpleNamespace(
        device=torch.device("cpu"),
        process_index=rank,
        num_processes=world_size,
        is_main_process=rank == 0,
    )
    return Distributed(cast(Accelerator, accelerator))


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 1), (1, 4), (2, 2), (3, 1)])
def test_the_rows_of_a_step_are_shared_out_without_rest(world_size: int, accumulate: int) -> None:
    rows = [
        process(rank, world_size).global_rows(12, index=index, count=accumulate)
        for index in range(accumulate)
        for rank in range(world_size)
    ]
    # In the order of the global batch: micro-batch by micro-batch, in each the processes in turn.
    assert [row for part in rows for row in range(12)[part]] == list(range(12))
    assert len({part.stop - part.start for part in rows}) == 1


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match=r"run\.batch_size 8 is not a multiple .* = 1 x 3"):
        join_distributed(batch_size=8, accumulate=3)


def test_one_process_gathers_its_own() -> None:
    alone = one_process()
    value = torch.tensor([1.0, 2.0])
    assert torch.equal(alone.mean(value), value) and torch.equal(alone.sum(value), value)
    assert torch.equal(alone.gather(value), value)
    assert alone.gather_objects({"step": 3}) == [{"step": 3}]
    assert (alone.rank, alone.world_size, alone.is_main) == (0, 1, True)


def test_no_other_module_of_training_speaks_to_the_other_processes() -> None:
    exchanges = ("accelerate", "torch.distributed", "textok.runtime.processes")
    placements = ("torch.distributed.tensor", "torch.distributed.fsdp")  # types of shards
    found = {}
    for path in Path(textok.train.__file__).parent.glob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        used = {name for name in names if name.startswith(exchanges)} - set(placements)
        if used:
            found[path.name] = used
    assert found == {"distributed.py": {"accelerate", "accelerate.utils"}}
