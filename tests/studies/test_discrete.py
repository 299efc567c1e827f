"""Equal tokens and images for every tokenizer, equal FLOPs for every generator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.discrete import (
    BUDGETS,
    GENERATORS,
    ROWS_A_STEP,
    SHEET_STEPS,
    STEPPED,
    TOKENIZERS,
    count_steps,
    generator_steps,
    tokenizer_steps,
    training_seconds,
    write_counts,
)

DATA, RUNS = Path("data"), Path("runs")


@pytest.mark.parametrize("name", BUDGETS)
def test_every_tokenizer_has_as_many_tokens_and_images(name: str, read) -> None:
    budget, seen = BUDGETS[name], {}
    for tokenizer in TOKENIZERS:
        trained = [
            settings
            for command, settings in map(read, tokenizer_steps(tokenizer, budget, DATA, RUNS))
            if command == "train tokenizer"
        ]
        assert {settings.tokenizer.num_tokens for settings in trained} == {16}
        assert {settings.run.batch_size for settings in trained} == {32}
        seen[tokenizer] = sum(settings.run.steps for settings in trained)
        kind = (trained[-1].tokenizer.text, trained[-1].tokenizer.bottleneck)
        text = "both" if tokenizer in ("textok", "vq-text", "titok-text") else "none"
        assert kind == (text, "kl" if tokenizer in ("textok", "no-text") else "vq")
    assert set(seen.values()) == {budget.steps}


@pytest.mark.parametrize("name", ["titok", "titok-text"])
def test_the_two_stages_follow_each_other(name: str, read) -> None:
    steps = [read(step) for step in tokenizer_steps(name, BUDGETS["cpu"], DATA, RUNS)]
    assert [name for name, _ in steps[:3]] == ["train vqgan", "train tokenizer", "train tokenizer"]
    (vqgan, first, last) = [settings for _, settings in steps[:3]]
    assert vqgan.vqgan == first.tokenizer.vqgan == last.tokenizer.vqgan
    assert first.vqgan_path == f"{vqgan.run.out}/model" and last.init == f"{first.run.out}/model"
    assert (first.loss.codes, first.loss.pixels, first.freeze_encoder) == (1, False, False)
    assert (last.loss.codes, last.loss.pixels, last.freeze_encoder) == (0, True, True)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_is_trained_on_its_tokenizer_s_latents(name: str, read) -> None:
    steps = [read(step) for step in generator_steps(name, BUDGETS["cpu"], DATA, RUNS)]
    (_, extract), (command, train), *judged = steps
    tokenizer = GENERATORS[name][3]
    assert extract.tokenizer == f"runs/{tokenizer}/model"
    assert train.latents.path == str(extract.out)
    assert command == f"train {GENERATORS[name][1]}"
    assert train.run.batch_size == ROWS_A_STEP
    gigaflops = 0.697 if command == "train generator" else 0.641
    assert train.run.steps * gigaflops == pytest.approx(385, rel=0.01)
    assert {settings.model for _, settings in judged} == {f"{train.run.out}/model"}


def test_each_number_of_steps_is_drawn_and_judged(read) -> None:
    steps = [read(step) for step in count_steps(BUDGETS["cpu"], DATA, RUNS)]
    drawn = [settings for name, settings in steps if name == "generate"]
    judged = [settings for name, settings in steps if name == "evaluate generation"]
    assert tuple(one.sampling.steps for one in drawn) == SHEET_STEPS
    assert tuple(one.sampling.steps for one in judged) == SHEET_STEPS
    assert {one.model for one in (*drawn, *judged)} == {f"runs/generators/{STEPPED}/model"}


def test_seconds_are_the_rows_over_the_median_speed(tmp_path: Path) -> None:
    lines = [
        {"step": step, "images_per_second": speed} for step, speed in ((1, 9), (2, 64), (3, 64))
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert training_seconds(tmp_path) == 3 * ROWS_A_STEP / 64


def test_nothing_drawn_is_no_table(tmp_path: Path) -> None:
    write_counts("command", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
