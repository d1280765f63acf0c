"""`python -m tests.fakes.azure`: the fake by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from tests.fakes.azure.book import SUBSCRIPTION
from tests.fakes.azure.service import FakeAzure


def main(argv: list[str] | None = None) -> int:
    """Serve; the one line on stdout has all that a client needs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.azure", description="A fake of Azure on loopback.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one")
    options = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        with FakeAzure(options.port) as fake:
            print(json.dumps({"url": fake.url, "subscription": SUBSCRIPTION, "environment": fake.environment()}), flush=True)
            ended.wait()
    except OSError as error:
        print(f"error: the fake cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
