"""Files drawn by the page say what they were drawn from, and can be drawn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.conftest import tiny
from textok.cli.main import main
from textok.config.generator import GuidanceConfig, ObjectiveConfig, SamplingConfig, SamplingOptions
from textok.demo.draw import draw
from textok.demo.limits import PICTURES
from textok.demo.studio import Studio
from textok.generator import DiT
from textok.pipeline import Reconstructor, TextToImage
from textok.runtime.png import read_png_note

Studios = Callable[[str], Studio]


@pytest.mark.parametrize("kind", ["text", "class", "codes", "codes-class"])
def test_a_file_can_be_drawn_again(
    studios: Studios, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studio = studios(kind)
    assert studio.pipe is not None
    asked = "sky" if studio.draws_classes else "a Red dog"
    away = "food-fruit" if studio.draws_classes else "a cat"
    told: list[int] = []
    sampling = SamplingOptions(steps=5, guidance=3).applied_to(studio.pipe.sampling)
    paths = draw(
        studio,
        asked,
        tmp_path,
        num_images=3,
        seed=40,
        sampling=sampling,
        negative=away,
        on_step=told.append,
    )
    assert told == [1, 2, 3, 4, 5] and len(set(paths)) == 3
    start = "sky-" if studio.draws_classes else "a-red-dog-"
    assert all(path.name.startswith(start) for path in paths)
    note = read_png_note(paths[2])
    assert (note["picture"], note["request"]["seed"], note["request"]["num_images"]) == (2, 40, 3)
    assert (note["request"]["sampling"]["steps"], note["request"]["negative"]) == (5, away)
    assert main(["generate", "--repeat", str(paths[2]), "--out", str(tmp_path / "again")]) == 0
    again, first = Image.open(tmp_path / "again" / paths[2].name), Image.open(paths[2])
    assert np.array_equal(np.asarray(again), np.asarray(first))
    assert not np.array_equal(np.asarray(Image.open(paths[1])), np.asarray(first))
    capsys.readouterr()


def test_the_most_pictures_are_one_batch(studios: Studios, tmp_path: Path) -> None:
    studio = studios("text")
    assert studio.pipe is not None
    paths = draw(studio, "", tmp_path, num_images=PICTURES, seed=0, sampling=studio.pipe.sampling)
    note = read_png_note(paths[-1])
    assert (note["start"], note["request"]["batch_size"]) == (0, PICTURES)
    assert paths[0].name.startswith("anything-")


def test_what_the_model_cannot_draw(studios: Studios, tmp_path: Path) -> None:
    by_class, by_text, tokenizer = studios("class"), studios("text"), studios("nested")
    assert by_class.pipe is not None and by_text.pipe is not None
    sampling = by_class.pipe.sampling
    for studio, asked, settings, message in (
        (by_class, "food-froot", sampling, "class 'food-froot' is unknown"),
        (tokenizer, "a dog", sampling, "is a tokenizer: it has no generator to draw with"),
        (by_text, "a", replace(sampling, sampler="maskgit"), "'maskgit' does not fit"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(studio, asked, tmp_path, num_images=1, seed=0, sampling=settings)
    assert list(tmp_path.iterdir()) == []


def test_samplers_that_fit(studios: Studios) -> None:
    assert studios("text").samplers == ["euler", "heun", "ddim", "dpmpp", "sde"]
    assert studios("codes").samplers == ["maskgit"]
    assert studios("nested").samplers == []


@pytest.mark.parametrize(
    ("most", "form", "slider", "scales"),
    [
        (5.0, "total", (1.0, 5.0, True), [1.0, 2.0, 4.0]),
        (5.0, "added", (0.0, 4.0, True), [1.0, 2.0, 4.0]),
        (1.0, "total", (1.0, 2.0, False), [1.0]),
        (1000.0, "total", (1.0, 20.0, True), [1.0, 2.0, 4.0, 8.0]),
    ],
)
def test_a_mean_flow_is_offered_the_guidance_it_has_learnt(
    most: float, form: Any, slider: tuple[float, float, bool], scales: list[float]
) -> None:
    gr = pytest.importorskip("gradio")
    from textok.demo.page.explore import _scales
    from textok.demo.page.sampling import sampler_fields

    parts = tiny("class")
    objective = ObjectiveConfig(name="meanflow", max_guidance=most)
    network = DiT(replace(parts.generator.config, objective=objective))
    guidance = GuidanceConfig(scale=slider[0], form=form)
    sampling = SamplingConfig(sampler="meanflow", steps=1, guidance=guidance)
    pipe = TextToImage(replace(parts, generator=network, sampling=sampling))
    studio = Studio(name="x", reconstructor=Reconstructor(pipe.tokenizer), pipe=pipe)
    with gr.Blocks():
        shown = sampler_fields(studio).guidance
    assert (shown.minimum, shown.maximum, shown.visible) == slider
    assert _scales(studio) == scales
