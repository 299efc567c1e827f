"""A shared-out encoder for processes whose numbers of batches differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from textok.runtime.processes import gather
from textok.text.encoder import TextEncoder
from textok.types import TextFeatures


class Together:
    """An ``encoder`` that all processes have to call at the same time, for those that do not.

    A call waits until each other process calls too, or has come to ``finish``.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        gather(True)
        # Weights that are put together in inference mode could not be written to outside of it.
        with torch.inference_mode(False):
            return self._encoder(captions)

    def finish(self) -> None:
        """Give the others this process's part of the weights until they have come here too."""
        while any(gather(False)):
            self._encoder([""])
