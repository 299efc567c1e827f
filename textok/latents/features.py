"""Features of the images of a shard: one vector an image, whatever the number of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PictureFeatures:
    """One vector of a frozen network for each image, mirrored ones apart."""

    values: Tensor
    """(images, F) float16."""
    pictures: Tensor
    """(rows,) int32: the image of each row."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(n, F) of the rows of these numbers."""
        return self.values[self.pictures[rows].long()]

    @property
    def whole(self) -> bool:
        """Whether these are such vectors, and every row has one."""
        kinds = (self.values.dtype, self.values.ndim), (self.pictures.dtype, self.pictures.ndim)
        if kinds != ((torch.float16, 2), (torch.int32, 1)):
            return False
        low, high = (0, -1) if not self.pictures.numel() else map(int, self.pictures.aminmax())
        return low >= 0 and high < len(self.values)

    @classmethod
    def cat(cls, several: Sequence[PictureFeatures]) -> PictureFeatures:
        """The rows of all, in order."""
        pictures, before = [], 0
        for part in several:
            pictures.append(part.pictures + before)
            before += len(part.values)
        return cls(
            values=torch.cat([part.values for part in several]),
            pictures=torch.cat(pictures).int(),
        )
