"""`python -m tests.fakes.azure`: the fake by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from tests.fakes import alone
from tests.fakes.azure.book import SUBSCRIPTION
from tests.fakes.azure.service import FakeAzure

if __name__ == "__main__":
    sys.exit(alone.main("azure", "Azure", FakeAzure, lambda _: {"subscription": SUBSCRIPTION}))
