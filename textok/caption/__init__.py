"""Captions by a vision-language model, and what a set of captions is worth."""

from textok.caption.by_class import captions_by_class
from textok.caption.job import caption_images
from textok.caption.report import caption_report
from textok.caption.sentences import sentences_by_class

__all__ = ["caption_images", "caption_report", "captions_by_class", "sentences_by_class"]
