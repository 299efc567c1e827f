"""Captioned images of any origin, and the batches made of them."""

from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, train_batches
from textok.data.records import Record
from textok.data.report import BadFilesError, ReadReport

__all__ = [
    "BadFilesError",
    "CaptionedImages",
    "ReadReport",
    "Record",
    "eval_batches",
    "open_captioned_images",
    "train_batches",
]
