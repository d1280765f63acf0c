"""`python -m tests.fakes.aws`: the fake by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from tests.fakes import alone
from tests.fakes.aws.service import ACCOUNT, FakeAws

if __name__ == "__main__":
    sys.exit(alone.main("aws", "AWS", FakeAws, lambda _: {"account": ACCOUNT}))
