"""Low-rank adapters in a tokenizer's decoder and in generators."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.train.tasks import images, make_tokenizer_task
from textok.config import (
    GanConfig,
    MaskGITConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.lora import LoraConfig
from textok.generator import MaskGIT
from textok.nn.block import Block
from textok.runtime.checkpoint import load_checkpoint, save_checkpoint
from textok.tokenizer import Tokenizer
from textok.train import train_generator, train_tokenizer
from textok.train.lora import adapted_layers, add_adapters, merged
from textok.train.task import TrainingTask
from textok.train.tokenizer import build_tokenizer

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def start(
    tmp_path_factory: pytest.TempPathFactory, config: TrainTokenizerConfig
) -> TrainTokenizerConfig:
    """To adapt a tokenizer without text by adapters of rank 2, against a discriminator."""
    shape = replace(config.tokenizer, text="none", nested=False)
    plain = replace(config, tokenizer=shape)
    model = tmp_path_factory.mktemp("start")
    torch.manual_seed(5)
    build_tokenizer(plain).save_pretrained(model)
    return replace(plain, init=str(model), lora=LoraConfig(rank=2))


def trained(task: TrainingTask[Any]) -> set[str]:
    return {name for name, value in task.network.named_parameters() if value.requires_grad}


def test_merging_adds_alpha_over_rank_times_the_product() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(4, 2)])

    network = Network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert merged(network) is network
    add_adapters(network, LoraConfig(rank=2, alpha=6))
    layer: Any = network.blocks[0].attention.out  # type: ignore[union-attr]
    torch.nn.init.constant_(layer.lora_A["default"].weight, 0.5)
    layer.lora_B["default"].weight.data[:, 0] = 1.0
    plain = merged(network)
    after = plain.state_dict()
    assert list(after) == list(before)
    # B A has 0.5 everywhere, alpha / rank is 3.
    moved = before.pop("blocks.0.attention.out.weight") + 1.5
    assert torch.allclose(after["blocks.0.attention.out.weight"], moved)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    x = torch.randn(2, 3, 4)
    assert torch.allclose(plain.blocks[0](x), network.blocks[0](x), atol=1e-6)
    assert not hasattr(plain, "peft_config") and hasattr(network, "peft_config")


def test_adapters_are_in_the_decoder_alone_and_start_as_nothing(
    start: TrainTokenizerConfig,
) -> None:
    task = make_tokenizer_task(start)
    source = Tokenizer.from_pretrained(start.init)
    block = "decoder.trunk.blocks.0"
    layers = [f"{block}.{name}" for name in "attention.qkv attention.out mlp.0 mlp.2".split()]
    assert trained(task) == {f"{one}.lora_{x}.default.weight" for one in layers for x in "AB"}
    pixels = images(2).images
    with torch.no_grad():
        ours, theirs = task.network(pixels).images, source(pixels).images
    assert torch.equal(ours, theirs)


def test_what_is_published_is_a_plain_tokenizer_with_the_same_latents(
    start: TrainTokenizerConfig, tmp_path: Path
) -> None:
    task = make_tokenizer_task(start)
    for step in range(3):
        logs = task.step([images(8)], step)
    assert logs["gan"].isfinite() and logs["skipped"] == 0
    task.save(tmp_path / "model")
    source, model = (Tokenizer.from_pretrained(one) for one in (start.init, tmp_path / "model"))
    before, after = source.state_dict(), model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {
        f"decoder.trunk.blocks.0.{name}.weight"
        for name in "attention.qkv attention.out mlp.0 mlp.2".split()
    }
    pixels = images(4).images
    with torch.no_grad():
        latents = model.encode(pixels)
        assert torch.equal(latents.mean, source.encode(pixels).mean)
        expected = task.averaged.decode(latents)
        assert torch.allclose(model.decode(latents), expected, atol=1e-5)
        assert not torch.allclose(source.decode(latents), expected, atol=1e-3)


def test_a_checkpoint_is_resumed_bit_for_bit(start: TrainTokenizerConfig, tmp_path: Path) -> None:
    whole, begun, resumed = (make_tokenizer_task(start) for _ in range(3))
    for step in range(4):
        whole.step([images(8)], step)
    for step in range(2):
        begun.step([images(8)], step)
    place = save_checkpoint(tmp_path, 2, {"task": begun.state_dict()}, keep=1)
    resumed.load_state_dict(load_checkpoint(place)["task"])
    for step in range(2, 4):
        resumed.step([images(8)], step)
    for one, two in ((whole.network, resumed.network), (whole.averaged, resumed.averaged)):
        left, right = one.state_dict(), two.state_dict()
        assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert any("lora_B" in name for name in resumed.state_dict()["tokenizer"])


def test_whole_trainings_of_a_tokenizer_and_of_a_generator(
    start: TrainTokenizerConfig,
    generator_config: TrainGeneratorConfig,
    tmp_path: Path,
) -> None:
    run = replace(start.run, steps=1, out=str(tmp_path / "tokenizer"), precision="bf16")
    train_tokenizer(replace(start, run=run, loss=replace(start.loss, gan=GanConfig(weight=0))))
    train_tokenizer(
        replace(start, run=replace(run, steps=2), loss=replace(start.loss, gan=GanConfig(weight=0)))
    )
    Tokenizer.from_pretrained(tmp_path / "tokenizer" / "model")
    # A new one has gates at zero for two steps.
    run = replace(generator_config.run, steps=4, out=str(tmp_path / "first"))
    train_generator(replace(generator_config, run=run))
    model = str(tmp_path / "first" / "model")
    run = replace(run, out=str(tmp_path / "second"), grad_checkpointing=True)
    train_generator(replace(generator_config, run=run, init=model, lora=LoraConfig(rank=4)))
    keys = [
        Tokenizer.from_pretrained(tmp_path / name / "model").state_dict().keys()
        for name in ("first", "second")
    ]
    assert keys[0] == keys[1]
    from textok.pipeline.folder import load_pipeline

    one, two = (load_pipeline(tmp_path / name / "model").generator for name in ("first", "second"))
    before, after = one.state_dict(), two.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {
        f"blocks.0.{name}.weight" for name in "attention.qkv attention.out mlp.0 mlp.2".split()
    }


def test_the_layers_of_every_kind_of_generator() -> None:
    for kind in ("bert", "uvit"):
        shape = MaskGITConfig(
            network=ViTConfig(width=8, depth=4, heads=2),
            architecture=kind,
            condition="class",
            classes=2,
            num_tokens=4,
            codebook_size=5,
        )
        found = adapted_layers(MaskGIT(shape))
        assert len(found) >= 12 and all("head" not in name for name in found)


def test_settings_that_contradict_adapters_are_refused(
    start: TrainTokenizerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(message: str, **changes: Any) -> None:
        with pytest.raises(ValueError, match=message):
            replace(start, **changes)

    refused("^lora.rank is above 0 but init is empty: name the model to adapt$", init="")
    refused(
        r"^run.compile cannot be combined with lora.rank above 0: set it to false$",
        run=replace(start.run, compile=True),
    )
    refused("^freeze_decoder leaves no decoder to adapt", freeze_decoder=True)
    refused(
        "^loss.gan.adaptive compares gradients at the decoder's last layer, which lora.rank above",
        loss=replace(start.loss, gan=GanConfig(adaptive=True)),
    )
    with pytest.raises(ValueError, match=r"^lora\.alpha is 0"):
        LoraConfig(alpha=0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"peft is missing .*: pip install 'textok\[lora\]'$"):
        build_tokenizer(start)


def test_a_frozen_decoder_leaves_the_encoder_to_learn(start: TrainTokenizerConfig) -> None:
    settings = replace(start, lora=LoraConfig(), freeze_decoder=True)
    task = make_tokenizer_task(settings)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    task.step([images(8)], 0)
    after = task.network.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder"}
    for message, changes in (
        ("^freeze_decoder: name a trained tokenizer in init$", {"init": ""}),
        ("leave nothing to train", {"freeze_encoder": True}),
        (
            "which freeze_decoder leaves as it is: set loss.gan.adaptive",
            {"loss": replace(start.loss, gan=GanConfig(adaptive=True))},
        ),
    ):
        with pytest.raises(ValueError, match=message):
            replace(settings, **changes)


def test_adapters_take_over_the_discriminator_alone(
    start: TrainTokenizerConfig, config: TrainTokenizerConfig
) -> None:
    before = make_tokenizer_task(replace(start, lora=LoraConfig()))
    for step in range(3):
        before.step([images(8)], step)
    task: TrainingTask[Tokenizer] = make_tokenizer_task(start)
    said = str(task.start_from(before.training_state()))
    assert said == "goes on with discriminator, discriminator's optimiser, lecam; new: weights"
