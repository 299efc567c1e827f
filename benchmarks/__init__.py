"""Measurements of textok against what one would write without it."""
