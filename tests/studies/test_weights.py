"""What ships changes only for something better, all at once, and stays small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from studies import weights
from studies.steps import Step
from studies.weights import (
    MOST_BYTES,
    drawn,
    frechet,
    install,
    judged,
    latents_step,
    make_generator,
    trained,
)
from textok.config import (
    TokenizerConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.generator import DiTShape, GeneratorConfig
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.generator import DiT
from textok.latents import LatentScale
from textok.pipeline import PipelineParts, load_pipeline, save_pipeline
from textok.tokenizer import Tokenizer

VIT = ViTConfig(width=32, depth=1, heads=2)


def parts(seed: int, *, tokenizer: int = 0) -> PipelineParts:
    """A pipeline of random weights at 16 px."""
    torch.manual_seed(tokenizer)
    config = TokenizerConfig(
        image_size=16, patch_size=8, num_tokens=4, channels=2, text="none", encoder=VIT, decoder=VIT
    )
    coder = Tokenizer(config).bfloat16().float()  # as it ships
    torch.manual_seed(seed)
    shape = DiTShape(width=32, depth=1, heads=2)
    generator = DiT(
        GeneratorConfig(num_tokens=4, channels=2, network=shape, condition="class", classes=1)
    )
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.1)
    scale = LatentScale(torch.zeros(2), torch.ones(2))
    return PipelineParts(tokenizer=coder, generator=generator, scale=scale, classes=["cat"])


class Machine:
    """Does at once what the steps would: a pipeline and reports of chosen distances."""

    def __init__(self, report: Callable[..., object], distances: dict[str, float]) -> None:
        self.report, self.distances = report, distances
        self.seed, self.tokenizer = 1, 0
        self.ran: list[str] = []

    def __call__(self, steps: Sequence[Step]) -> bool:
        for step in steps:
            if not step.done.exists():
                self.ran.append(" ".join(step.command[:2]))
                self.run(step)
                assert step.done.exists()
        return True

    def run(self, step: Step) -> None:
        place = step.done.parent
        place.mkdir(parents=True, exist_ok=True)
        if step.command[0] == "extract":
            parts(0, tokenizer=self.tokenizer).tokenizer.save_pretrained(place.parent / "tokenizer")
            step.done.touch()
        elif step.command[0] == "train":
            save_pipeline(place / "model", parts(self.seed, tokenizer=self.tokenizer))
            (place / "sheets").mkdir()
            for name in ("report.md", "curves.png", "log.jsonl", "sheets/step-00000002.png"):
                leave(place / name)
        else:
            self.report(self.distances[step.command[2]]).write(place)
            for name in weights.GENERATOR_REPORT[2:]:
                leave(place / name)


def leave(path: Path) -> None:
    """A small picture, or a text, of that name."""
    if path.suffix == ".png":
        Image.new("RGB", (2, 2)).save(path)
    else:
        path.write_text(path.name)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Assets that hold a tokenizer and no generator."""
    folder = tmp_path / "assets" / "products"
    parts(0).tokenizer.save_pretrained(folder / "tokenizer")
    monkeypatch.setattr(weights, "ASSETS", folder)
    return folder


@pytest.fixture
def machine(report, bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    packed = str(tmp_path / "runs" / "fast" / "packed")
    machine = Machine(report, {packed: 100.0, str(bundled): 110.0})
    monkeypatch.setattr(weights, "run_steps", machine)
    monkeypatch.setattr(weights, "write_splits", lambda *_: None)
    return machine


def make(tmp_path: Path) -> None:
    make_generator(Path("data"), tmp_path / "runs", tmp_path / "out")


def seed_of(bundled: Path) -> int:
    """Which of the pipelines above the assets hold."""
    found = load_pipeline(bundled).generator.state_dict()
    for seed in (1, 2):
        expected = parts(seed).generator.state_dict()
        if all(torch.allclose(found[key], expected[key], atol=0.01) for key in found):
            return seed
    raise AssertionError("some other pipeline")


def test_steps_are_commands(read) -> None:
    data, runs = Path("data"), Path("runs")
    command, asked = read(latents_step(data, runs))
    assert command == "extract"
    assert (asked.tokenizer, asked.splits) == ("products", ("train", "val"))
    assert (asked.flip, asked.out) == (False, runs / "latents")
    ours = [read(step) for step in trained(data, runs)]
    assert [command for command, _ in ours] == ["train tokenizer"] * 3
    first, longer, student = (asked for _, asked in ours)
    assert (first.init, longer.init, student.init) == (
        "",
        str(runs / "tokenizer" / "model"),
        str(runs / "longer" / "model"),
    )
    assert not first.freeze_encoder and longer.freeze_encoder and student.freeze_encoder
    assert student.tokenizer.sampling.passes == 4 < student.loss.distillation.teacher.steps
    (command, asked) = read(judged(Path("m"), data, runs, runs / "x")[0])
    assert command == "evaluate reconstruction"
    assert (asked.data.split, asked.num_tokens, asked.pca) == ("test", weights.BUDGETS, True)
    for step, split in zip(drawn(Path("m"), runs, runs / "x"), weights.SPLITS, strict=True):
        command, asked = read(step)
        assert command == "evaluate generation"
        assert asked.data.split == split == "test"
        assert (asked.model, step.done) == ("m", asked.out / "report.json")


def test_where_no_generator_ships_the_first_one_is_installed_and_published(
    machine: Machine, bundled: Path, tmp_path: Path
) -> None:
    make(tmp_path)

    assert machine.ran == ["extract products", *["train generator"] * 2, "evaluate generation"]
    names = sorted(path.name for path in bundled.iterdir())
    assert names == ["README.md", "generator", "pipeline.json", "tokenizer"]
    assert seed_of(bundled) == 1
    card = (bundled / "README.md").read_text()
    assert "paramaggarwal/fashion-product-images-small" in card and "Apache-2.0" in card
    assert [path.name for path in bundled.parent.iterdir()] == ["products"]
    published = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")
    }
    judged = {f"{split}/{name}" for split in weights.SPLITS for name in weights.GENERATOR_REPORT}
    log = {"report.md", "curves.png", "log.jsonl", "sheets/step-00000002.png"}
    assert published == judged | log


@pytest.mark.parametrize(("distance", "kept"), [(109.9, 2), (110.0, 1), (120.0, 1)])
def test_another_one_is_installed_only_if_its_distance_is_lower(
    distance: float, kept: int, machine: Machine, bundled: Path, tmp_path: Path
) -> None:
    save_pipeline(tmp_path / "first", parts(1))
    install(tmp_path / "first")
    machine.seed = 2
    machine.distances[str(tmp_path / "runs" / "fast" / "packed")] = distance
    make(tmp_path)

    assert seed_of(bundled) == kept
    assert (tmp_path / "out").exists() == (kept == 2)
    assert (tmp_path / "runs" / "shipped-generator").exists() == (kept == 1)


def test_what_ships_already_is_not_judged_again(
    machine: Machine, bundled: Path, tmp_path: Path
) -> None:
    make(tmp_path)
    before = list(machine.ran)
    make(tmp_path)
    assert machine.ran == before


def test_a_pipeline_that_is_too_large_does_not_ship(
    machine: Machine, bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MOST_BYTES", 50_000)
    with pytest.raises(ValueError, match=r"packed has 0\.\d MB, more than 0: train smaller"):
        make(tmp_path)
    assert [path.name for path in bundled.iterdir()] == ["tokenizer"]
    assert machine.ran[-1] == "train generator"


def test_latents_of_another_tokenizer_are_refused_before_training(
    machine: Machine, tmp_path: Path
) -> None:
    machine.tokenizer = 5
    with pytest.raises(ValueError, match=r"latents is of another tokenizer than .*: remove .*"):
        make(tmp_path)
    assert machine.ran == ["extract products"]


def test_a_new_tokenizer_takes_the_old_generator_away(bundled: Path, tmp_path: Path) -> None:
    save_pipeline(tmp_path / "first", parts(1))
    install(tmp_path / "first")
    parts(0, tokenizer=5).tokenizer.save_pretrained(tmp_path / "new")
    install(tmp_path / "new", "tokenizer")

    assert [path.name for path in bundled.iterdir()] == ["tokenizer"]
    found = Tokenizer.from_pretrained(bundled / "tokenizer").state_dict()
    assert all(
        torch.equal(found[key], value)
        for key, value in parts(0, tokenizer=5).tokenizer.state_dict().items()
    )


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        ("dit-products-64", 9.22),
        ("dit-pictograms-64", 10.67),
        ("dit-pictograms-64-class", 4.19),
        ("dit-study-64", 5.24),
    ],
)
def test_the_presets_generators_are_small(preset: str, millions: float) -> None:
    config = load_config(TrainGeneratorConfig, [preset_path(preset)]).generator
    by_text = config.condition == "text"
    known = {"text_width": 384, "text_tokens": 8} if by_text else {"classes": 100}
    with torch.device("meta"):
        generator = DiT(
            GeneratorConfig(
                num_tokens=8 if "products" in preset else 16,
                channels=8,
                network=config.network,
                condition=config.condition,
                pooled_text=config.pooled_text,
                qk_norm=config.qk_norm,
                objective=config.objective,
                **known,
            )
        )
    count = sum(parameter.numel() for parameter in generator.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)
    assert f"{count / 1e6:.1f} M" in preset_path(preset).read_text().splitlines()[0]


def test_the_bundled_model_fits_its_limit() -> None:
    tokenizer = load_config(TrainTokenizerConfig, [preset_path(weights.TOKENIZER)]).tokenizer
    asked = load_config(TrainGeneratorConfig, [preset_path("dit-products-64")]).generator
    assert weights.GENERATOR[0] == "--generator.network.width"
    network = replace(asked.network, width=int(weights.GENERATOR[1]))
    with torch.device("meta"):
        networks = (
            Tokenizer(tokenizer),
            DiT(
                GeneratorConfig(
                    num_tokens=tokenizer.num_tokens,
                    channels=tokenizer.channels,
                    network=network,
                    pooled_text=asked.pooled_text,
                    qk_norm=asked.qk_norm,
                    text_width=384,
                    text_tokens=8,
                )
            ),
        )
    counts = [sum(one.numel() for one in network.parameters()) for network in networks]
    assert [round(count / 1e6, 1) for count in counts] == [4.4, 8.1]
    assert 2 * sum(counts) < MOST_BYTES


def test_a_nested_tokenizer_is_judged_by_all_its_tokens() -> None:
    rows = [SimpleNamespace(tokens=k, frechet=100.0 - k) for k in (1, 8, 2)]
    rows.append(SimpleNamespace(tokens=None, frechet=1.0))  # PCA
    assert frechet(SimpleNamespace(judged=rows)) == 92.0  # type: ignore[arg-type]
