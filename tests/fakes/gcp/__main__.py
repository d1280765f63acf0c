"""`python -m tests.fakes.gcp`: the fake by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from tests.fakes import alone
from tests.fakes.gcp.service import FakeGcp

if __name__ == "__main__":
    sys.exit(alone.main("gcp", "Google Cloud", FakeGcp, lambda fake: {"project": fake.project}))
