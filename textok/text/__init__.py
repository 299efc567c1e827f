"""Captions to TextFeatures: frozen encoders and their features on disk."""

from textok.text.cache import FeatureCache
from textok.text.encoder import FrozenTextEncoder, load_text_encoder
from textok.text.open import open_features
from textok.text.source import TextFeaturesSource

__all__ = [
    "FeatureCache",
    "FrozenTextEncoder",
    "TextFeaturesSource",
    "load_text_encoder",
    "open_features",
]
