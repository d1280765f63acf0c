"""Elastic pools: pools whose agents Microsoft's own service starts in a scale set. Here they only exist, so that one can be recognised."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

STATES = ("online", "offline", "unhealthy", "new")


@dataclass
class ElasticPool:
    """A scale set behind a pool."""

    pool_id: int
    azure_id: str
    desired_idle: int = 0
    max_capacity: int = 1
    recycle: bool = True
    time_to_live_minutes: int = 30
    state: str = "online"
    endpoint: str = field(default_factory=lambda: str(uuid.uuid4()))

    def document(self) -> dict[str, Any]:
        """As an ElasticPool."""
        return {
            "poolId": self.pool_id,
            "azureId": self.azure_id,
            "serviceEndpointId": self.endpoint,
            "serviceEndpointScope": self.endpoint,
            "desiredIdle": self.desired_idle,
            "desiredSize": self.desired_idle,
            "maxCapacity": self.max_capacity,
            "maxSavedNodeCount": 0,
            "osType": "linux",
            "orchestrationType": "uniform",
            "recycleAfterEachUse": self.recycle,
            "agentInteractiveUI": False,
            "sizingAttempts": 0,
            "state": self.state,
            "timeToLiveMinutes": self.time_to_live_minutes,
        }
