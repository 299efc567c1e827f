"""Captions to TextFeatures: frozen encoders and their features on disk."""

from textok.text.cache import FeatureCache
from textok.text.encoder import FrozenTextEncoder, TextEncoder, load_text_encoder

__all__ = ["FeatureCache", "FrozenTextEncoder", "TextEncoder", "load_text_encoder"]
