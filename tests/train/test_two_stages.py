"""TiTok's two stages: the codes of a VQGAN, then pixels with the encoder as it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.tasks import images as batch
from tests.train.tasks import make_tokenizer_task
from textok.config import (
    CodebookConfig,
    GanConfig,
    LossConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
    VQGANConfig,
)
from textok.tokenizer import Tokenizer
from textok.train import train_tokenizer, train_vqgan
from textok.train.task import TrainingTask
from textok.train.tokenizer import build_tokenizer
from textok.types import Batch
from textok.vqgan import VQGAN

SHAPE = VQGANConfig(
    image_size=16,
    width=8,
    multipliers=(1, 1, 1),
    res_blocks=1,
    codebook_size=5,
    codebook_channels=4,
)


@pytest.fixture(scope="module")
def vqgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    return VQGAN(SHAPE).save_pretrained(tmp_path_factory.mktemp("vqgan"))


@pytest.fixture(scope="module")
def stage1(config: TrainTokenizerConfig, vqgan: Path) -> TrainTokenizerConfig:
    tokenizer = replace(
        config.tokenizer,
        text="none",
        nested=False,
        bottleneck="vq",
        codebook=CodebookConfig(size=6),
        layout="titok",
        output="codes",
        vqgan=SHAPE,
    )
    loss = LossConfig(codes=1.0, l2=0, perceptual=0, gan=GanConfig(weight=0))
    return replace(config, tokenizer=tokenizer, loss=loss, vqgan_path=str(vqgan))


def make(config: TrainTokenizerConfig) -> TrainingTask[Tokenizer]:
    return make_tokenizer_task(replace(config, loss=replace(config.loss, gan=GanConfig(weight=0))))


def copies(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """First words of the names of what is different."""
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_stage_1_learns_codes_and_leaves_the_vqgan_decoder(stage1: TrainTokenizerConfig) -> None:
    task = make(stage1)
    before = copies(task.network.state_dict())
    logs = task.step([batch(8)], 0)
    assert logs["codes"].item() == pytest.approx(math.log(5), rel=0.2)  # nothing is known yet
    assert 0 <= logs["codes_right"] <= 1 and "l2" not in logs
    total = logs["codes"] + logs["codebook"] + 0.25 * logs["commitment"]
    assert logs["loss"].item() == pytest.approx(total.item(), rel=1e-5)
    assert moved(before, task.network.state_dict()) == {"encoder", "decoder"}
    for step in range(1, 40):
        logs = task.step([batch(8)], step)
    assert logs["codes"] < 1.2


def test_the_vqgan_decoder_is_that_of_the_vqgan(stage1: TrainTokenizerConfig, vqgan: Path) -> None:
    tokenizer, source = build_tokenizer(stage1), VQGAN.from_pretrained(vqgan)
    assert tokenizer.vqgan_decoder is not None
    theirs = source.decoder.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in tokenizer.vqgan_decoder.state_dict().items())
    codes = source.encode(batch(2).images).codes
    assert codes is not None
    certain = torch.nn.functional.one_hot(codes, 5).float() * 1e4
    assert torch.allclose(tokenizer._decode_codes(certain), source.decode(codes), atol=1e-5)


def test_what_it_was_trained_with_is_that_of_all_stages(
    stage1: TrainTokenizerConfig, vqgan: Path, tmp_path: Path
) -> None:
    assert build_tokenizer(stage1).trained_with == ("unknown",)  # as the VQGAN's folder says
    source = VQGAN.from_pretrained(vqgan)
    source.trained_with = ("lpips_vgg",)
    source.save_pretrained(tmp_path / "vqgan")
    known = replace(stage1, vqgan_path=str(tmp_path / "vqgan"))
    begun = build_tokenizer(known)
    assert begun.trained_with == ("lpips_vgg",)
    begun.save_pretrained(tmp_path / "stage1")
    loss = LossConfig(perceptual=0.1, perceptual_net="efficientnet_lite0", gan=GanConfig(weight=0))
    stage2 = replace(known, init=str(tmp_path / "stage1"), loss=loss, freeze_encoder=True)
    assert build_tokenizer(stage2).trained_with == ("efficientnet_lite0", "lpips_vgg")


def test_stage_2_moves_pixels_and_leaves_the_encoder(
    stage1: TrainTokenizerConfig, tmp_path: Path
) -> None:
    build_tokenizer(stage1).save_pretrained(tmp_path / "stage1")
    loss = LossConfig(l2=1.0, perceptual=0, gan=GanConfig(weight=0))
    stage2 = replace(
        stage1, loss=loss, vqgan_path="", init=str(tmp_path / "stage1"), freeze_encoder=True
    )
    task = make(stage2)
    before = copies(task.network.state_dict())
    first = task.step([batch(8)], 0)
    assert "codes" not in first
    for step in range(1, 30):
        logs = task.step([batch(8)], step)
    assert moved(before, task.network.state_dict()) == {"decoder", "vqgan_decoder"}
    assert logs["l2"] < 0.9 * first["l2"]
    codes, kept = (model.encode(batch(4).images).codes for model in (task.network, task.averaged))
    assert codes is not None and kept is not None and torch.equal(codes, kept)


def test_both_stages_and_the_vqgan_end_to_end(stage1: TrainTokenizerConfig, tmp_path: Path) -> None:
    short = replace(stage1.run, steps=2, sheet_every=2)
    first = TrainVQGANConfig(
        vqgan=SHAPE,
        data=stage1.data,
        loss=LossConfig(perceptual=0, gan=GanConfig(start=1, base=16)),
        optim=stage1.optim,
        run=replace(short, out=str(tmp_path / "vqgan")),
    )
    train_vqgan(first)
    assert VQGAN.from_pretrained(tmp_path / "vqgan" / "model").config == SHAPE
    one = replace(
        stage1,
        vqgan_path=str(tmp_path / "vqgan" / "model"),
        run=replace(short, out=str(tmp_path / "stage1")),
    )
    train_tokenizer(one)
    two = replace(
        one,
        vqgan_path="",
        loss=first.loss,
        init=str(tmp_path / "stage1" / "model"),
        freeze_encoder=True,
        run=replace(short, out=str(tmp_path / "stage2")),
    )
    train_tokenizer(two)
    last = Tokenizer.from_pretrained(tmp_path / "stage2" / "model")
    assert last.decode(last.encode(batch(2).images)).shape == (2, 3, 16, 16)
    log = (tmp_path / "stage2" / "log.jsonl").read_text()
    assert '"perplexity"' in log and '"codebook_use"' in log


def test_the_codebook_s_use_is_that_of_the_whole_step(config: TrainTokenizerConfig) -> None:
    shape = replace(config.tokenizer, text="none", nested=False, bottleneck="vq")
    discrete = replace(config, tokenizer=replace(shape, codebook=CodebookConfig(size=50)))
    whole = make(discrete)
    halves = make(replace(discrete, run=replace(discrete.run, accumulate=2)))
    one = whole.step([batch(8)], 0)
    parts = batch(8)
    two = halves.step([cut(parts, slice(0, 4)), cut(parts, slice(4, 8))], 0)
    codes = whole.averaged.encode(batch(8).images).codes
    assert codes is not None and one["codebook_use"] <= 32 / 50
    for name in ("codebook_use", "perplexity", "loss"):
        assert one[name].item() == pytest.approx(two[name].item(), rel=1e-5), name


def test_revival_is_the_same_in_parts_and_moves_every_code_that_nothing_takes(
    config: TrainTokenizerConfig,
) -> None:
    shape = replace(config.tokenizer, text="none", nested=False, bottleneck="vq")
    for revive in (False, True):
        book = CodebookConfig(size=64, l2_norm=False, revive=revive)
        discrete = replace(config, tokenizer=replace(shape, codebook=book))
        whole = make(discrete)
        halves = make(replace(discrete, run=replace(discrete.run, accumulate=2)))
        parts = batch(8)
        before = whole.network.codebook.vectors.detach().clone()
        taken = whole.network.encode(parts.images).codes
        assert taken is not None
        whole.step([parts], 0)
        halves.step([cut(parts, slice(0, 4)), cut(parts, slice(4, 8))], 0)
        after = whole.network.codebook.vectors.detach()
        assert torch.allclose(after, halves.network.codebook.vectors, atol=1e-4)
        unused = torch.ones(64, dtype=torch.bool)
        unused[taken.unique()] = False
        moved = (after != before).any(dim=1)
        assert unused.sum() > 20 and moved[~unused].all()
        assert moved[unused].all() if revive else not moved[unused].any()


def cut(given: Batch, rows: slice) -> Batch:
    return Batch(images=given.images[rows], captions=given.captions[rows], keys=given.keys[rows])


def refused(base: TrainTokenizerConfig, message: str, **changes: object) -> None:
    with pytest.raises(ValueError, match=message):
        replace(base, **changes)  # type: ignore[arg-type]


def test_settings_that_contradict_each_other_are_refused(
    stage1: TrainTokenizerConfig, config: TrainTokenizerConfig
) -> None:
    refused(
        stage1,
        "^vqgan_path is empty: name the VQGAN whose codes the decoder learns$",
        vqgan_path="",
    )
    refused(config, "^freeze_encoder: name a trained tokenizer in init$", freeze_encoder=True)
    refused(config, "^loss.codes is above 0 but", loss=replace(config.loss, codes=1.0))
    with pytest.raises(ValueError, match=r"^loss\.gan\.weight is above 0 but .*: no image is"):
        LossConfig(codes=1, l2=0, perceptual=0)
    with pytest.raises(ValueError, match=r"^run\.grad_checkpointing is for transformers"):
        TrainVQGANConfig(run=replace(config.run, grad_checkpointing=True))
    with pytest.raises(ValueError, match="l2, l1, perceptual, logits and codes are all 0"):
        LossConfig(l2=0, perceptual=0, gan=GanConfig(weight=0))


def test_another_vqgan_than_the_settings_say_is_refused(
    stage1: TrainTokenizerConfig, tmp_path: Path
) -> None:
    VQGAN(replace(SHAPE, codebook_size=9)).save_pretrained(tmp_path)
    build_tokenizer(stage1).save_pretrained(tmp_path / "begun")
    other = replace(
        stage1, vqgan_path=str(tmp_path), run=replace(stage1.run, out=str(tmp_path / "run"))
    )
    for settings in (other, replace(other, init=str(tmp_path / "begun"))):
        with pytest.raises(ValueError, match=r"give tokenizer\.vqgan the settings of that VQGAN"):
            train_tokenizer(settings)
    assert not (tmp_path / "run").exists()
