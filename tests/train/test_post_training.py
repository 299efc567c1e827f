"""Post-training of a generator by a Frechet loss on the pictures that it draws."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import textok.train.frechet as frechet_module
from tests.train.conftest import extract_pictures
from tests.train.jobs import Jobs, Runs
from tests.train.tasks import (
    make_objective,
    make_parts,
    make_validator,
    one_process,
    pixel_means,
)
from textok.config import (
    DataConfig,
    GuidanceConfig,
    LatentsConfig,
    ObjectiveConfig,
    SamplingConfig,
    TrainGeneratorConfig,
)
from textok.config.frechet import GeneratorFrechetConfig
from textok.data.images import open_captioned_images
from textok.data.loading import eval_batches
from textok.evaluate.image_generator import trained_against
from textok.generator import DiT
from textok.losses.frechet import FrechetLoss, Population, Reference
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.pipeline import TextToImage
from textok.pipeline.folder import save_pipeline
from textok.runtime.run_log import read_log
from textok.tokenizer import Tokenizer
from textok.train.generator import fitted, train_generator
from textok.train.objective import Outcome
from textok.train.on_latents import generator_task, open_both, random_source
from textok.train.post_training import PictureDecoder, PostTraining, sampled_as_trained
from textok.types import Condition


@pytest.fixture(scope="session")
def post_training(
    tmp_path_factory: pytest.TempPathFactory, generator_config: TrainGeneratorConfig, pictures: Path
) -> TrainGeneratorConfig:
    """In one step, of a generator that draws noise as yet."""
    latents = extract_pictures(tmp_path_factory.mktemp("lively"), pictures, text=None, gain=8)
    given = replace(generator_config, latents=LatentsConfig(path=str(latents)))
    config = fitted(given, open_both(given).train.index)
    torch.manual_seed(0)
    init = save_pipeline(tmp_path_factory.mktemp("init") / "model", make_parts(config))
    frechet = GeneratorFrechetConfig(
        weight=1.0,
        data=DataConfig(path=str(latents.parent / "data"), workers=0),
        population=16,
        every=2,
    )
    return replace(given, frechet=frechet, init=str(init))


@pytest.fixture(scope="session")
def post_training_runs(
    tmp_path_factory: pytest.TempPathFactory, post_training: TrainGeneratorConfig
) -> Runs:
    """In two steps: whole, interrupted and split over micro-batches and processes."""
    frechet = replace(post_training.frechet, steps=2)
    jobs = Jobs(tmp_path_factory.mktemp("runs"), replace(post_training, frechet=frechet))
    jobs.add("whole", "whole")
    jobs.add("while filling", "killed", die="save:2", save_every=1)
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("to the end", "killed")
    jobs.add("two halves", "two", world=2, accumulate=2)
    jobs.add("sharded", "sharded", world=2, shard=True)
    jobs.config = replace(post_training, frechet=replace(frechet, own=0.5, guidance=2))
    jobs.add("beside its own", "own")
    jobs.add("beside its own in two", "own-two", world=2)
    return jobs.run()


def colours(images: Tensor) -> Tensor:
    """A second network: how bright each quarter is, and how bright its brightest pixel."""
    grey = images.mean(dim=1, keepdim=True)
    pooled = [functional.avg_pool2d(grey, 8), functional.max_pool2d(grey, 8)]
    return torch.cat(pooled, dim=1).flatten(1)


def toy_pictures(tokens_BKC: Tensor, captions: object = None, seeds: object = None) -> Tensor:
    """A decoder that 16 numbers have a say in: (B, 3, 16, 16) of 4 x 4 squares."""
    random = torch.Generator().manual_seed(1)
    weights = torch.randn(16, 48, generator=random) / 4
    squares = torch.tanh(tokens_BKC.flatten(1) @ weights).reshape(-1, 3, 4, 4)
    return functional.interpolate(squares, (16, 16))


def test_the_distance_falls_in_the_trained_features_and_in_others(
    post_training: TrainGeneratorConfig,
) -> None:
    """From N(0, 1), which an untrained generator draws in one step, to another Gaussian."""
    config = fitted(post_training, open_both(post_training).train.index)
    run, optim = replace(config.run, steps=120), replace(config.optim, lr=3e-3)
    config = replace(config, run=replace(run, batch_size=64), optim=optim)
    random = torch.Generator().manual_seed(2)
    spread = torch.rand(4, 4, generator=random) + 0.2
    real = toy_pictures(spread * torch.randn(2000, 4, 4, generator=random) + spread - 0.7)
    networks = {"means": pixel_means("means").extract, "colours": colours}
    known = {name: FeatureStatistics.of(network(real)) for name, network in networks.items()}
    reference = Reference.of(known["means"].mean, known["means"].covariance)
    population = Population(reference, size=128, every=2)
    loss = FrechetLoss({"means": networks["means"]}, {"means": population})
    torch.manual_seed(0)
    parts = make_parts(config)
    assert isinstance(parts.generator, DiT)
    objective = PostTraining(
        make_objective(config),
        loss,
        toy_pictures,
        config=config.frechet,
        generator=parts.generator,
        sampling=sampled_as_trained(config).sampling,
        source=random_source(config),
    )
    task = generator_task(
        config,
        parts,
        objective=objective,
        frechet=loss,
        validator=make_validator(config, parts),
        distributed=one_process(),
    )

    def distances() -> dict[str, float]:
        labels = Condition(labels=torch.arange(500) % 2)
        sampling = sampled_as_trained(config).sampling
        tokens = parts.generator.sample(labels, sampling=sampling, seeds=range(500))
        made = {name: network(toy_pictures(tokens)) for name, network in networks.items()}
        return {
            name: frechet_distance(FeatureStatistics.of(found), known[name])
            for name, found in made.items()
        }

    before = distances()
    rows = open_both(config).train
    for step in range(config.run.steps):
        task.step([rows.batch([*range(8)] * 8)], step)
    after = distances()
    assert after["means"] < 0.5 * before["means"]
    assert after["colours"] < 0.75 * before["colours"]


def test_the_pipeline_takes_the_steps_it_was_trained_for_and_names_the_networks(
    post_training_runs: Runs, tmp_path: Path
) -> None:
    model = post_training_runs.root / "whole" / "model"
    pipeline = TextToImage.from_pretrained(model)
    assert pipeline.sampling.steps == 2
    assert pipeline.sampling.guidance == GuidanceConfig(scale=1)
    assert trained_against(pipeline) == (*pipeline.tokenizer.trained_with, "vgg16")
    pipeline.generator.save_pretrained(tmp_path / "again")
    again = type(pipeline.generator).from_pretrained(tmp_path / "again")
    assert again.trained_with == ("vgg16",)


def test_the_first_steps_only_collect(post_training_runs: Runs) -> None:
    log = post_training_runs.log("whole")
    assert [line["frechet"] > 0 for line in log[:4]] == [False, False, True, True]
    assert log[0]["fd_vgg16"] == 0 and log[1]["fd_vgg16"] > 0
    assert "lr" not in log[1] and log[2]["lr"] > 0
    for line in log[2:]:
        assert line["loss"] == line["frechet"]


def test_beside_the_own_loss_both_are_weighed(post_training_runs: Runs) -> None:
    line = post_training_runs.log("own")[-1]
    assert line["loss"] == pytest.approx(line["frechet"] + 0.5 * line["own"], rel=1e-4)


def test_an_interrupted_run_ends_bit_identical(post_training_runs: Runs) -> None:
    codes = post_training_runs.codes
    assert codes.pop("while filling") == codes.pop("after a log line") == [-signal.SIGKILL]
    assert all(code == 0 for found in codes.values() for code in found), codes
    killed, whole = (post_training_runs.weights(run) for run in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    assert [key for key, value in whole.items() if not torch.equal(killed[key], value)] == []
    assert int(whole["state/task/frechet/populations.vgg16.seen"]) == 80
    assert post_training_runs.log("killed") == post_training_runs.log("whole")


@pytest.mark.parametrize(
    ("run", "split"), [("whole", "two"), ("whole", "sharded"), ("own", "own-two")]
)
def test_how_the_batch_is_split_changes_nothing(
    post_training_runs: Runs, run: str, split: str
) -> None:
    whole, parts = (post_training_runs.weights(one) for one in (run, split))
    start = post_training_runs.weights(run, step=8)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=5e-5, msg=key)
    name = "state/task/generator/final.linear.weight"
    assert (whole[name] - start[name]).abs().max() > 3e-4


def test_the_real_pictures_are_measured_once(
    post_training_runs: Runs, post_training: TrainGeneratorConfig
) -> None:
    (file,) = (post_training_runs.root / "whole" / "real-statistics").iterdir()
    images = open_captioned_images(post_training.frechet.data, image_size=16)
    real = next(eval_batches(images, batch_size=len(images))).images
    moments = frechet_module.load_with_sum(file)
    found = FeatureStatistics.of(pixel_means("means").extract(real))
    torch.testing.assert_close(moments["covariance"], found.covariance)
    torch.testing.assert_close(moments["mean"], found.mean)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -1.0}, r"frechet\.weight is -1\.0: it must be >= 0"),
        ({"population": 1}, r"frechet\.population is 1: it must be >= 2"),
        ({"networks": ()}, r"frechet\.networks is empty"),
        ({"networks": ("vgg16", "vgg16")}, r"frechet\.networks vgg16, vgg16: one comes twice"),
        ({"data": DataConfig()}, r"frechet\.data\.path is empty"),
        ({"steps": 0}, r"frechet\.steps is 0"),
        ({"guidance": 1e30}, r"frechet\.guidance is 1e\+30: it must be >= 0 and <= 1000"),
        ({"statistics": __file__}, r"frechet\.statistics .*\.py is a file: name a folder"),
    ],
)
def test_settings_that_cannot_be(
    post_training: TrainGeneratorConfig, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(post_training.frechet, **changes)


def test_what_cannot_be_post_trained(post_training: TrainGeneratorConfig) -> None:
    shape = post_training.generator
    with pytest.raises(ValueError, match="init is empty but frechet"):
        replace(post_training, init="")
    with pytest.raises(ValueError, match=r"generator\.dropout is 0\.1 but frechet"):
        replace(post_training, generator=replace(shape, dropout=0.1))
    aligned = replace(shape, alignment=replace(shape.alignment, weight=1.0))
    with pytest.raises(ValueError, match=r"frechet\.own is 0"):
        replace(post_training, generator=aligned)
    by_mean_flow = replace(shape, objective=ObjectiveConfig(name="meanflow"))
    sampling = SamplingConfig(sampler="meanflow", guidance=GuidanceConfig(scale=2.0))
    weak = replace(post_training.frechet, guidance=0.5)
    with pytest.raises(
        ValueError, match=r"^frechet\.guidance is 0\.5: a generator trained by 'mean"
    ):
        replace(post_training, generator=by_mean_flow, sampling=sampling, frechet=weak)
    judged = replace(post_training.frechet, networks=("efficientnet_lite0",))
    with pytest.raises(ValueError, match="fd_images measures in efficientnet_lite0"):
        replace(post_training, frechet=judged, fd_images=4)


def test_a_missing_folder_of_pictures_leaves_no_run_behind(
    post_training: TrainGeneratorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frechet_module, "load_feature_network", pixel_means)
    missing = replace(post_training.frechet, data=DataConfig(path=str(tmp_path / "none")))
    config = replace(
        post_training, frechet=missing, run=replace(post_training.run, out=str(tmp_path / "run"))
    )
    with pytest.raises(ValueError, match="none"):
        train_generator(config)
    assert not (tmp_path / "run").exists()


class Drawing:
    """Post-training of a new generator in a few steps; notes whether its passes have gradients."""

    def __init__(self, config: TrainGeneratorConfig, **changes: Any) -> None:
        self.rows = open_both(config).train
        config = replace(config, frechet=replace(config.frechet, **changes))
        config = sampled_as_trained(fitted(config, self.rows.index))
        torch.manual_seed(0)
        self.sampling, self.generator = config.sampling, DiT(config.generator)
        torch.nn.init.normal_(self.generator.final.linear.weight, std=0.1)
        population = Population(Reference.of(torch.zeros(48), torch.eye(48)), size=2, every=1)
        self.loss = FrechetLoss({"means": pixel_means("means").extract}, {"means": population})
        self.objective = PostTraining(
            make_objective(config),
            self.loss,
            toy_pictures,
            config=config.frechet,
            generator=self.generator,
            sampling=config.sampling,
            source=random_source(config),
        )
        self.seen: list[bool] = []

    def __call__(self, step: int) -> Outcome:
        self.seen.clear()
        batch, randomness = self.rows.batch(range(8)), self.objective.sample(step)
        return self.objective.evaluate(self._network, batch, randomness, step)

    def _network(self, *given: Any, **options: Any) -> Tensor:
        self.seen.append(torch.is_grad_enabled())
        output: Tensor = self.generator(*given, **options)
        return output


@pytest.mark.parametrize(
    ("gradient", "expected"), [("all", [True, True, True]), ("last", [False, False, True])]
)
def test_gradients_go_through_all_steps_or_the_last(
    post_training: TrainGeneratorConfig, gradient: str, expected: list[bool]
) -> None:
    drawing = Drawing(post_training, steps=3, gradient=gradient)
    filling = drawing(0)
    assert drawing.seen == [False, False, False] and filling.features is not None
    drawing.loss.update(filling.features)
    terms = drawing(1).terms
    assert drawing.seen == expected
    terms["loss"].backward()
    gradient_of_first = drawing.generator.embed.weight.grad
    assert gradient_of_first is not None and float(gradient_of_first.abs().sum()) > 0


@pytest.mark.parametrize("name", ["flow", "ddpm", "meanflow"])
def test_training_draws_what_the_generator_draws(
    post_training: TrainGeneratorConfig, name: Any
) -> None:
    """The same sampler, by the network's training pass."""
    objective = ObjectiveConfig(name=name)
    sampler: Any = {"flow": "heun", "ddpm": "ddim", "meanflow": "meanflow"}[name]
    config = replace(
        post_training,
        generator=replace(post_training.generator, objective=objective),
        sampling=replace(post_training.sampling, sampler=sampler),
    )
    drawing = Drawing(config, steps=2, guidance=2.0)
    found, seeds = drawing(0).features, drawing.objective.sample(0).seeds
    assert found is not None and seeds is not None and len(set(seeds.tolist())) == 8
    batch = drawing.rows.batch(range(8))
    tokens = drawing.generator.sample(
        batch.condition, sampling=drawing.sampling, seeds=seeds.tolist()
    )
    expected = pixel_means("means").extract(toy_pictures(tokens))
    torch.testing.assert_close(found["means"], expected, rtol=1e-4, atol=1e-5)


def test_a_decoder_that_samples_passes_the_gradient_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    generator_config: TrainGeneratorConfig,
    pictures: Path,
    post_training: TrainGeneratorConfig,
) -> None:
    """Its zeroed last layer would hide the tokens, so it is shaken first."""
    monkeypatch.setattr(frechet_module, "load_feature_network", pixel_means)
    latents = extract_pictures(tmp_path / "flow", pictures, text=None, decoding="flow")
    shaken = Tokenizer.from_pretrained(latents / "tokenizer")
    for name, weight in shaken.decoder.named_parameters():
        if "modulation" in name or "final" in name:
            torch.nn.init.normal_(weight, std=0.2)
    shaken.save_pretrained(latents / "tokenizer")
    data = DataConfig(path=str(latents.parent / "data"), workers=0)
    config = replace(
        post_training,
        latents=LatentsConfig(path=str(latents)),
        frechet=replace(post_training.frechet, data=data),
        run=replace(post_training.run, steps=4, out=str(tmp_path / "run"), log_every=1),
    )
    parts = make_parts(fitted(config, open_both(config).train.index))
    config = replace(config, init=str(save_pipeline(tmp_path / "init", parts)))
    train_generator(config)
    log = read_log(tmp_path / "run")
    assert [line["frechet"] > 0 for line in log] == [False, False, True, True]
    assert log[-1]["grad_norm"] > 1e-4
    decode = PictureDecoder(parts, None, device=torch.device("cpu"), precision="fp32")
    tokens = torch.randn(2, 4, 4)
    one = decode(tokens[1:], [], [2])
    torch.testing.assert_close(decode(tokens, [], [1, 2])[1:], one, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(decode(tokens, [], [1, 2]), decode(tokens, [], [3, 4]), atol=1e-3)
