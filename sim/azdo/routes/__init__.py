"""All routes of the service; one module per resource of the API."""

from __future__ import annotations

from sim.azdo.router import Router
from sim.azdo.routes import agents, connection, jobrequests, messages, packages, pools, sessions, token

ROUTER = Router(
    [
        *connection.ROUTES,
        *token.ROUTES,
        *pools.ROUTES,
        *agents.ROUTES,
        *sessions.ROUTES,
        *messages.ROUTES,
        *jobrequests.ROUTES,
        *packages.ROUTES,
    ]
)
"""Every route below an organization."""
