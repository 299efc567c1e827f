"""Two perceptual losses at once: a distance of features and one of logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.train.tasks import make_tokenizer_task
from textok.config import GanConfig, LossConfig, TrainTokenizerConfig
from textok.losses.reconstruction import ReconstructionLoss
from textok.nn.lpips import LPIPS, WEIGHTS_VARIABLE
from textok.tokenizer import Tokenizer
from textok.train.task import TrainingTask
from textok.types import Batch

SIZE = 32


@pytest.fixture
def task(
    config: TrainTokenizerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainingTask[Tokenizer]:
    """LPIPS (AlexNet) with random weights, and the logits of EfficientNet-Lite0, from step 1 on."""
    torch.manual_seed(0)
    weights = {f"alex.{name}": value for name, value in LPIPS("alex").state_dict().items()}
    save_file(weights, tmp_path / "lpips.safetensors")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "lpips.safetensors"))
    settings = replace(
        config,
        tokenizer=replace(config.tokenizer, image_size=SIZE, patch_size=8, text="none"),
        loss=LossConfig(
            perceptual=0.5,
            perceptual_net="lpips_alex",
            logits=0.25,
            logits_net="efficientnet_lite0",
            perceptual_start=1,
            kl=0,
            gan=GanConfig(weight=0),
        ),
    )
    return make_tokenizer_task(settings)


def batch() -> Batch:
    images = torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Batch(images=images, captions=[""] * 8, keys=[str(row) for row in range(8)])


def test_both_are_heard_from_their_start_with_their_weights(task: TrainingTask[Tokenizer]) -> None:
    logs = task.step([batch()], 0)
    assert "perceptual" not in logs and "logits" not in logs
    logs = {name: value.item() for name, value in task.step([batch()], 1).items()}
    assert logs["perceptual"] > 0 and logs["logits"] > 0
    total = logs["l2"] + 0.5 * logs["perceptual"] + 0.25 * logs["logits"]
    assert logs["loss"] == pytest.approx(total)


def test_each_reaches_the_pixels(task: TrainingTask[Tokenizer]) -> None:
    real = batch().images
    slopes: list[Tensor] = []
    for loss in (task.step.objective.loss.perceptual, task.step.objective.loss.logits):
        assert loss is not None and not any(p.requires_grad for p in loss.parameters())
        images = (0.5 * real).requires_grad_()
        loss(images, real).backward()
        assert images.grad is not None and images.grad.abs().sum() > 0
        slopes.append(images.grad)
    cosine = torch.nn.functional.cosine_similarity(*(slope.flatten() for slope in slopes), dim=0)
    assert cosine.abs() < 0.9


def test_logits_alone_are_a_loss_of_pixels() -> None:
    assert LossConfig(l2=0, perceptual=0, logits=0.1).pixels
    assert ReconstructionLoss(LossConfig(perceptual=0)).logits is None
    with pytest.raises(ValueError, match=r"loss\.logits is -1"):
        LossConfig(logits=-1)
    with pytest.raises(ValueError, match="logits and codes are all 0: nothing to reconstruct"):
        LossConfig(l2=0, perceptual=0, gan=GanConfig(weight=0))
