"""Bounded examples, the same each time; ``--hypothesis-profile=many`` looks for new ones."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile(
    "ci", deadline=None, max_examples=40, derandomize=True, database=None,
    suppress_health_check=SLOW,
)  # fmt: skip
settings.register_profile("many", deadline=None, max_examples=3_000, suppress_health_check=SLOW)
settings.load_profile("ci")
