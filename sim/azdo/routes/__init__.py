"""All routes of the service; one module per resource of the API."""

from __future__ import annotations

from sim.azdo.router import Router
from sim.azdo.routes import agents, connection, elasticpools, jobrequests, messages, packages, pools, queues, sessions, token

ROUTER = Router(
    [
        *connection.ROUTES,
        *token.ROUTES,
        *pools.ROUTES,
        *agents.ROUTES,
        *queues.ROUTES,
        *elasticpools.ROUTES,
        *sessions.ROUTES,
        *messages.ROUTES,
        *jobrequests.ROUTES,
        *packages.ROUTES,
    ]
)
"""Every route below an organization."""
