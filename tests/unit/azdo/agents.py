"""Agents for the tests: registered and online by hand, with the PAT."""

from __future__ import annotations

from typing import Any

from goldbake.azdo.pools import Pools


def register(pools: Pools, pool_id: int, name: str) -> int:
    """Register an agent; it is offline."""
    body = {"name": name, "version": "4.255.0", "maxParallelism": 1, "systemCapabilities": {"Agent.OS": "Linux"}}
    return int(pools.client.post(f"_apis/distributedtask/pools/{pool_id}/agents", body, dict[str, Any])["id"])


def go_online(pools: Pools, pool_id: int, agent_id: int) -> str:
    """Open the agent's session; returns its id."""
    body = {"ownerName": "test", "agent": {"id": agent_id}, "systemCapabilities": {}}
    return str(pools.client.post(f"_apis/distributedtask/pools/{pool_id}/sessions", body, dict[str, Any])["sessionId"])


def go_offline(pools: Pools, pool_id: int, session: str) -> None:
    """Close it."""
    pools.client.delete(f"_apis/distributedtask/pools/{pool_id}/sessions/{session}")
