"""Tests with real programs, containers and machines."""

import pytest

# What stands once for several files of tests asserts as well: its assertions say what they compared.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("cloudbake", "cloudbench", "clouddoctor", "cloudlaunch", "cloudreal")))
