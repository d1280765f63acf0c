"""A fake by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from tests.fakes.fake import Fake

_ENDING = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T", bound=Fake[Any, Any])


def main(cloud: str, words: str, make: Callable[[int], T], account: Callable[[T], dict[str, str]], argv: list[str] | None = None) -> int:
    """Serve; the one line on stdout has all that a client needs: `account` is what it says besides address and environment."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.fakes.{cloud}", description=f"A fake of {words} on loopback.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one")
    options = parser.parse_args(argv)
    # `sigwait` takes these; a handler could run just before a wait, which would then not end.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with make(options.port) as fake:
            print(json.dumps({"url": fake.url, **account(fake), "environment": fake.environment()}), flush=True)
            signal.sigwait(_ENDING)
    except OSError as error:
        print(f"error: the fake cannot listen: {error}", file=sys.stderr)
        return 1
    return 0
