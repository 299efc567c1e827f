"""A guard that is settled a step later: nothing waits, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.train.tasks import images, make_tokenizer_task
from textok.config import TrainTokenizerConfig
from textok.generator.condition import may_read_values
from textok.train.guard import Guard
from textok.train.loop import Agreement
from textok.train.task import TrainingTask

NAN = float("nan")
FILLS = (None, None, NAN, None, NAN, NAN, None)
"""Of one pixel in each step's batch."""
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "equal"}
"""Operations whose result the host needs."""


class Waits(TorchDispatchMode):
    """Counts the operations at which the host waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.count += func.overloadpacket.__name__ in WAITS
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=["adamw", "muon"])
def adversarial(config: TrainTokenizerConfig, request: pytest.FixtureRequest) -> Any:
    """With LeCAM and R1 in every other step."""
    gan = replace(config.loss.gan, start=0, r1=1.0, r1_every=2)
    optim = replace(config.optim, name=request.param)
    return replace(config, loss=replace(config.loss, gan=gan), optim=optim)


def make(config: TrainTokenizerConfig, *, late: bool) -> TrainingTask[Any]:
    task = make_tokenizer_task(config)
    task.step = replace(task.step, decides_late=late)
    return task


def tensors(node: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a state by their paths."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found: dict[str, Any] = {}
    for name, value in items:
        deeper = isinstance(value, dict | list | tuple)
        found |= tensors(value, f"{path}/{name}") if deeper else {f"{path}/{name}": value}
    return found


def assert_same(one: TrainingTask[Any], other: TrainingTask[Any]) -> None:
    left, right = (tensors(task.state_dict()) for task in (one, other))
    assert left.keys() == right.keys()
    for name, value in left.items():
        if name.endswith("/lr"):  # written before each step
            continue
        same = torch.equal(value, right[name]) if torch.is_tensor(value) else value == right[name]
        assert same, name


def test_settled_late_everything_is_as_if_decided_at_once(adversarial) -> None:
    at_once, late = make(adversarial, late=False), make(adversarial, late=True)
    for step, fill in enumerate(FILLS):
        logs = [task.step([images(8, fill)], step) for task in (at_once, late)]
        expected = {name: value for name, value in logs[0].items() if name != "lr"}
        for name, value in expected.items():
            assert torch.equal(value.nan_to_num(7), logs[1][name].nan_to_num(7)), (step, name)
        if step in (1, 4):  # elsewhere the next step settles it
            assert_same(at_once, late)
    assert_same(at_once, late)
    assert late.state_dict()["guard"] == {"skipped": 3, "in_a_row": 0}
    averaged = zip(late.averaged.parameters(), at_once.averaged.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in averaged)


def test_what_is_saved_late_goes_on_the_same(adversarial) -> None:
    whole, first, second = (make(adversarial, late=True) for _ in range(3))
    for step in (0, 1):
        whole.step([images(8)], step)
        first.step([images(8)], step)
    second.step([images(8, NAN)], 0)  # left undecided, and given up with all else
    second.load_state_dict(first.state_dict())
    for task in (whole, second):
        task.step([images(8, NAN)], 2)
        task.step([images(8)], 3)
    assert_same(whole, second)


@pytest.mark.parametrize(
    "ask",
    [
        lambda task: task.step([images(8)], 3),
        lambda task: task.state_dict(),
        lambda task: task.averaged,
    ],
)
def test_the_run_ends_with_the_weights_and_words_of_before(config, ask: Any) -> None:
    task = make(replace(config, run=replace(config.run, max_bad_steps=2)), late=True)
    task.step([images(8)], 0)
    kept = [weight.clone() for weight in task.network.parameters()]
    task.step([images(8, NAN)], 1)
    task.step([images(8, NAN)], 2)
    with pytest.raises(ValueError, match=r"stopped at step 2: 2 steps in a row .* lower optim\.lr"):
        ask(task)
    assert all(map(torch.equal, task.network.parameters(), kept))


def test_a_step_settled_late_waits_for_nothing(adversarial) -> None:
    counts = {}
    for late in (False, True):
        task = make(adversarial, late=late)
        task.step([images(8)], 0)
        with Waits() as waits:
            for step, fill in ((1, None), (2, NAN), (3, None)):
                task.step([images(8, fill)], step)
        counts[late] = waits.count
    assert counts == {False: 3, True: 0}


def test_the_verdict_of_several_processes_is_one() -> None:
    class Two:
        """A process beside which another has found the same."""

        def sum(self, value: torch.Tensor) -> torch.Tensor:
            return 2 * value

    guard = Guard(Two(), limit=9)  # type: ignore[arg-type]
    assert guard.bad([torch.tensor(1.0), torch.tensor(float("inf"))]) == 1
    assert guard.bad([torch.tensor(1.0)]) == 0


def test_on_a_cpu_the_verdict_is_waited_for(config) -> None:
    assert not make_tokenizer_task(config).step.decides_late


def test_labels_are_not_read_back_in_training_on_a_gpu() -> None:
    network, on_gpu = torch.nn.Linear(1, 1), SimpleNamespace(is_cuda=True)
    assert not may_read_values(network, on_gpu)
    assert may_read_values(network, torch.zeros(1))
    assert may_read_values(network.eval(), on_gpu)


def test_what_several_gpus_agree_on_is_a_step_old_and_saved_for_once() -> None:
    other = SimpleNamespace(
        world_size=2, device=torch.device("cpu"), gather=lambda own: torch.cat([own, 0 * own])
    )
    at_once = Agreement(other)
    assert at_once(True, 0) == (True, 0) and at_once(False, 15) == (False, 15)
    late = Agreement(other)
    late._late = True
    # The wish of step 1 is met after step 2, whose own wish that meets too.
    answers = [late(overdue, 0) for overdue in (False, True, True, False, False)]
    assert answers == [(False, 0), (False, 0), (True, 0), (False, 0), (False, 0)]
    assert [late(False, signum) for signum in (2, 2)] == [(False, 0), (False, 2)]
