"""Distances of hidden states, after a projection, from the features of a frozen image network.

Legend: B images, N patches, F features. All in float32; features get no gradient.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import einsum
from torch import Tensor


def marginal_cosine_loss(states_BNF: Tensor, features_BNF: Tensor, *, margin: float) -> Tensor:
    """Mean over images and patches of relu(1 - margin - cos(state, feature)), a scalar.

    VA-VAE (arXiv 2501.01423, section 3.2): patches that are similar enough are left alone.
    """
    cosine_BN = F.cosine_similarity(states_BNF.float(), features_BNF.detach().float(), dim=-1)
    return F.relu(1 - margin - cosine_BN).mean()


def marginal_distance_loss(states_BNF: Tensor, features_BNF: Tensor, *, margin: float) -> Tensor:
    """Mean over images and pairs of patches of relu(|cos(s_i, s_j) - cos(f_i, f_j)| - margin).

    A scalar: how patches of an image resemble each other, whatever the axes. The marginal distance
    matrix similarity loss of VA-VAE (arXiv 2501.01423, section 3.2).
    """
    gap_BNN = _cosines(states_BNF.float()) - _cosines(features_BNF.detach().float())
    return F.relu(gap_BNN.abs() - margin).mean()


def cosine_loss(states_BF: Tensor, features_BF: Tensor) -> Tensor:
    """Mean over images of 1 - cos(state, feature), a scalar in [0, 2].

    REPA (arXiv 2410.06940, section 3.2) with the cosine as its similarity, plus a constant.
    """
    return 1 - F.cosine_similarity(states_BF.float(), features_BF.detach().float(), dim=-1).mean()


def _cosines(x_BNF: Tensor) -> Tensor:
    """(B, N, N) between all pairs of an image's patches."""
    directions = F.normalize(x_BNF, dim=-1)
    return einsum(directions, directions, "B i F, B j F -> B i j")
