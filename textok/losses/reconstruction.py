"""The reconstruction loss of tokenizers and VQGANs: pixels, perceptual networks, the codebook."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from textok.config import LossConfig
from textok.losses.perceptual import logits_loss, perceptual_loss
from textok.types import Reconstruction


class ReconstructionLoss(nn.Module):
    """Weighted sum of the terms whose weight is above 0, with the frozen networks they need.

    Raises ValueError where the weights of such a network cannot be loaded.
    """

    def __init__(self, weights: LossConfig, *, perceptual: nn.Module | None = None) -> None:
        """``perceptual`` stands in for the network that ``weights`` names."""
        super().__init__()
        self.weights = weights
        if weights.perceptual > 0 and perceptual is None:
            perceptual = perceptual_loss(
                weights.perceptual_net, path=weights.perceptual_path or None
            )
        self.perceptual = perceptual
        self.logits: nn.Module | None = None
        if weights.logits > 0:
            self.logits = logits_loss(weights.logits_net, path=weights.logits_path or None)

    def compile_networks(self) -> None:
        """Compile the frozen networks.

        Not where a weight is adaptive: it asks for gradients through them twice in one step, which
        compiled code does not give.
        """
        if self.weights.gan.adaptive or self.weights.alignment.adaptive:
            return
        for network in (self.perceptual, self.logits):
            if network is not None:
                network.compile()

    def forward(self, out: Reconstruction, real: Tensor, step: int) -> dict[str, Tensor]:
        """Float32 scalars of one pass over ``real`` (B, 3, H, W): ``loss`` and its terms."""
        weights, terms = self.weights, dict[str, Tensor]()
        loss = real.new_zeros(())
        if out.images is not None:
            error = out.images - real
            terms = {"l2": error.square().mean(), "l1": error.abs().mean()}
            loss = weights.l1 * terms["l1"]
            if out.velocity_error is None:
                loss = loss + weights.l2 * terms["l2"]
            else:
                terms["velocity"] = out.velocity_error.mean()
                loss = loss + weights.l2 * terms["velocity"]
            if self.perceptual is not None and step >= weights.perceptual_start:
                images = (shifted(x, step, weights.perceptual_phases) for x in (out.images, real))
                terms["perceptual"] = self.perceptual(*images)
                loss = loss + weights.perceptual * terms["perceptual"]
            if self.logits is not None and step >= weights.perceptual_start:
                terms["logits"] = self.logits(out.images, real)
                loss = loss + weights.logits * terms["logits"]
        if out.codebook is not None and out.commitment is not None:
            terms |= {"codebook": out.codebook, "commitment": out.commitment}
            loss = loss + weights.codebook * out.codebook + weights.commitment * out.commitment
        return {"loss": loss, **terms}


def shifted(images_B3HW: Tensor, step: int, phases: int) -> Tensor:
    """The images rolled by the shift of ``step``: every one of phases x phases in as many steps."""
    down, across = divmod(step % phases**2, phases)
    return images_B3HW.roll((down, across), dims=(2, 3)) if down or across else images_B3HW


def trained_with(loss: LossConfig, inherited: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the pretrained networks that a model was trained against.

    Those of the losses with a weight above 0, and ``inherited`` from what training started from.
    """
    names = set(inherited)
    if loss.perceptual > 0:
        names.add(loss.perceptual_net)
    if loss.logits > 0:
        names.add(loss.logits_net)
    if loss.frechet.weight > 0:
        names.update(loss.frechet.networks)
    return tuple(sorted(names))
