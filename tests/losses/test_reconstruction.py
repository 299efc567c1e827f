from __future__ import annotations

from textok.config import LossConfig
from textok.config.networks import backbones
from textok.losses.reconstruction import trained_with


def test_terms_of_weight_zero_do_not_count() -> None:
    assert trained_with(LossConfig(perceptual=0.1)) == ("efficientnet_lite0",)
    assert trained_with(LossConfig(perceptual=0.0)) == ()
    assert trained_with(LossConfig(perceptual=0.1, perceptual_net="lpips_vgg")) == ("lpips_vgg",)


def test_the_start_s_losses_stay() -> None:
    loss = LossConfig(perceptual_net="lpips_alex")

    assert trained_with(loss, ["convnext", "lpips_alex"]) == ("convnext", "lpips_alex")
    assert trained_with(loss, ["unknown"]) == ("lpips_alex", "unknown")
    assert trained_with(LossConfig(perceptual=0), ["convnext"]) == ("convnext",)


def test_the_networks_of_losses() -> None:
    losses = ["lpips_vgg", "lpips_alex", "efficientnet_lite0", "convnext", "unknown"]

    assert backbones(losses) == {"vgg16", "alexnet", "efficientnet_lite0", "convnext", "unknown"}
