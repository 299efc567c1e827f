"""A linear layer that is quick without gradients on any CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

ENOUGH = 2**21
"""Fewest multiplications that are worth the longer way in, some 15 microseconds."""
MOST = 2**28
"""Most weights of a network that are packed: a second GiB beside their own."""
FEW = 512
"""Numbers of a weight that are read in each call, or up to twice as many: it takes time."""


class Linear(nn.Linear):
    """``nn.Linear`` whose float32 products on a CPU go through oneDNN where no gradient is needed.

    torch gives them to MKL, which on an AMD processor is 5 to 25 % slower. Results differ in
    rounding alone.
    """

    packs = False
    """Packs its weights at the first such product (``use_packed``)."""

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x) if self.quicker(x) else super().forward(x)

    def with_gelu(self, x: Tensor, approximate: str) -> Tensor:
        """``nn.GELU(approximate)`` of the output in one step, for what is ``quicker``."""
        return self._product(x, "gelu", approximate)

    def quicker(self, x: Tensor) -> bool:
        """Whether oneDNN takes the product, and it is large enough.

        Its product has no derivative, neither backward nor forward.
        """
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and x.numel() * self.out_features >= ENOUGH
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and forward_ad.unpack_dual(x).tangent is None
            and torch.backends.mkldnn.is_available()
            and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        )

    def _product(self, x: Tensor, after: str = "none", how: str = "") -> Tensor:
        weight = _packed(self) if self.packs else self.weight
        return torch.ops.mkldnn._linear_pointwise(x, weight, self.bias, after, [], how)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        _PACKED.pop(self, None)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def use_packed(network: nn.Module) -> None:
    """Let the linear layers of a network keep their weights a second time, in oneDNN's order.

    Otherwise it orders them anew for each product: a tenth of the time of one of 400 rows, half of
    one of eight. Weights that change are packed again. A network of more than ``MOST`` stays as it
    is.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, Linear)]
    if sum(layer.weight.numel() for layer in layers) <= MOST:
        for layer in layers:
            layer.packs = True


@dataclass(frozen=True, kw_only=True)
class _Packed:
    """Weights in oneDNN's order, and what tells whether those they were made of have changed."""

    weight: Tensor
    version: int
    some_now: Tensor
    """``_some`` of these as they are at any time: changes of ``weight.data``, as by merged
    adapters, leave the version as it is."""
    some: Tensor

    def is_of(self, weight: Tensor) -> bool:
        return (
            weight.data_ptr() == self.some_now.data_ptr()
            and weight._version == self.version
            and torch.equal(self.some_now, self.some)
        )


_PACKED: WeakKeyDictionary[Linear, _Packed] = WeakKeyDictionary()
"""Beside the layers, as these could not be copied with it."""


def _some(weight: Tensor) -> Tensor:
    """A view of a weight of each row and each column, of a large one of each few; a change of
    ``weight.data`` elsewhere alone goes unnoticed."""
    rows, columns = weight.shape
    # Shorter than a row, and back at the same column only after all others.
    step = next(n for n in range(min(rows, columns), 0, -1) if gcd(n, columns) == 1)
    return weight.view(-1)[:: step * max(1, max(rows, columns) // FEW)]


def _packed(layer: Linear) -> Tensor:
    weight, known = layer.weight, _PACKED.get(layer)
    if weight.is_inference() or not weight.is_contiguous():  # the former has no version
        return weight
    if known is None or not known.is_of(weight):
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        except NotImplementedError:  # an older torch
            layer.packs = False
            return weight
        some, version = _some(weight.detach()), weight._version
        known = _Packed(weight=packed, version=version, some_now=some, some=some.clone())
        _PACKED[layer] = known
    return known.weight
