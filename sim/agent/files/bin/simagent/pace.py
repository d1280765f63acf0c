"""How long the agent waits. SIMULATED_AGENT_PACE multiplies every pause (0.01: a hundred times faster), so that a test need not take minutes."""

from __future__ import annotations

import os
import time

SESSION_RETRY_S = 30.0
"""Between two tries to get a session."""
SESSION_CONFLICT_S = 240.0
"""How long a session that already exists is waited for."""
CLOCK_SKEW_S = 1800.0
"""How long a wrong clock is waited for."""
SESSION_END_S, LEAST_END_S = 30.0, 15.0
"""How long a service may take to end a session when the agent stops; at any pace it has the second, for that is no pause but its work."""
RENEW_JOB_S = 60.0
CONNECT_RETRY_S = 0.1
BACKOFF_S = 10.0
"""Before the first repetition of a request; one, three, seven … seconds more before the next."""


def scaled(seconds: float) -> float:
    """`seconds` at this agent's pace."""
    try:
        return seconds * float(os.environ.get("SIMULATED_AGENT_PACE", "1"))
    except ValueError:
        return seconds


def pause(seconds: float) -> None:
    time.sleep(scaled(seconds))
