"""`python -m sim.azdo`: the service by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from sim.azdo.service import SimulatedAzureDevOps

_ENDING = (signal.SIGTERM, signal.SIGINT)


def main(argv: list[str] | None = None) -> int:
    """Serve; the one line on stdout has all that a client needs."""
    parser = argparse.ArgumentParser(prog="python -m sim.azdo", description="A simulated Azure DevOps on loopback.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument("--organization", default="demo", help="name of the organization (demo)")
    parser.add_argument("--poll-seconds", type=float, default=50.0, help="longest wait of a message poll (50)")
    parser.add_argument("--session-timeout", type=float, default=300.0, help="seconds without a poll after which a session ends (300)")
    options = parser.parse_args(argv)
    # `sigwait` takes these; a handler could run just before a wait, which would then not end.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        service = SimulatedAzureDevOps(
            options.organization, options.port, poll_seconds=options.poll_seconds, session_timeout=options.session_timeout
        )
        with service:
            line = {
                "url": service.url,
                "organization": service.organization,
                "port": service.port,
                "ca_file": str(service.ca_path),
                "pat": service.pat,
                "pool": "Default",
            }
            print(json.dumps(line), flush=True)
            signal.sigwait(_ENDING)
    except (OSError, ValueError) as error:
        print(f"error: the simulated service cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
