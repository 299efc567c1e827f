"""What a masked generator learns from. Legend: B batch, K tokens, V codes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from textok.config.maskgit import MaskedLossConfig


def masked_loss(
    logits_BKV: Tensor,
    codes_BK: Tensor,
    mask_BK: Tensor,
    config: MaskedLossConfig,
    *,
    hidden_share: Tensor | None = None,
) -> dict[str, Tensor]:
    """``loss``, the cross-entropy, and ``accuracy``, the share of hidden tokens that are guessed.

    The mean over all tokens weighs hidden ones, where ``mask`` is True, with 1 and the others with
    ``unmasked_weight``; at least one is hidden. Both are float32 scalars. Where these tokens are a
    part of a larger batch, ``hidden_share`` is the share that is hidden in all of it: then the mean
    over equal parts is what the whole gives.
    """
    logits_BVK = logits_BKV.float().transpose(1, 2)
    each_BK = F.cross_entropy(
        logits_BVK, codes_BK, label_smoothing=config.label_smoothing, reduction="none"
    )
    hidden_BK = mask_BK.float()
    share = hidden_BK.mean() if hidden_share is None else hidden_share
    weights_BK = hidden_BK + config.unmasked_weight * (1 - hidden_BK)
    right_BK = (logits_BVK.argmax(dim=1) == codes_BK).float()
    return {
        "loss": (each_BK * weights_BK).mean() / (share + config.unmasked_weight * (1 - share)),
        "accuracy": (right_BK * hidden_BK).mean() / share,
    }
