"""A few examples, the same each time; ``python -m tests.fuzz --examples N`` looks for new ones."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.fuzz.budget import MANY

SLOW = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
)
settings.register_profile(
    "few", deadline=None, derandomize=True, database=None, suppress_health_check=SLOW
)
settings.register_profile(
    "many", deadline=None, print_blob=True, report_multiple_bugs=True, suppress_health_check=SLOW
)
settings.load_profile("many" if MANY else "few")
