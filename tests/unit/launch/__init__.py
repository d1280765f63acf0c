"""The tests of launches: what they share asserts too, and says as much when it fails."""

import pytest

pytest.register_assert_rewrite("tests.unit.launch.crash", "tests.unit.launch.failures")
