"""How the properties of unit tests are searched: the same examples in each run, and as long as this machine takes for them.

`--hypothesis-profile=search` looks for new ones, many of them where a test does not say how many.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", PATIENT, max_examples=5000)
settings.register_profile("goldbake", PATIENT, derandomize=True, database=None)
settings.load_profile("goldbake")
