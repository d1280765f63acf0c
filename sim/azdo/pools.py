"""Agent pools, and the queues by which projects use them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from sim.azdo.clock import stamp
from sim.azdo.errors import ServiceError

OWNER = {
    "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "owner.simulated.invalid")),
    "displayName": "Pool Owner",
    "uniqueName": "owner@example.com",
}
"""Who made every pool."""

NAME_LENGTH = 256
_FORBIDDEN = frozenset('"/\\[]:|<>+=;?*,')


@dataclass
class Pool:
    """A pool of self-hosted agents, or (`hosted`) of Microsoft's."""

    id: int
    name: str
    created: float
    auto_provision: bool = False
    auto_update: bool = True
    auto_size: bool = True
    target_size: int | None = None
    pool_type: str = "automation"
    hosted: bool = False
    options: str = "none"
    scope: str = field(default_factory=lambda: str(uuid.uuid4()))

    def document(self, size: int) -> dict[str, Any]:
        """This pool with `size` agents as a TaskAgentPool."""
        document = {
            **self.reference(),
            "autoProvision": self.auto_provision,
            "autoUpdate": self.auto_update,
            "autoSize": self.auto_size,
            "createdBy": OWNER,
            "createdOn": stamp(self.created),
            "owner": OWNER,
            "properties": {},
            "scope": self.scope,
            "size": size,
        }
        if self.target_size is not None:
            document["targetSize"] = self.target_size
        return document

    def reference(self) -> dict[str, Any]:
        """This pool as a TaskAgentPoolReference."""
        return {
            "id": self.id,
            "isHosted": self.hosted,
            "isLegacy": False,
            "name": self.name,
            "options": self.options,
            "poolType": self.pool_type,
        }


class Pools:
    """All pools of an organization; their names are compared without regard to case."""

    def __init__(self) -> None:
        self.by_id: dict[int, Pool] = {}
        self._last = 0

    def add(self, name: str, created: float, **settings: Any) -> Pool:
        """A new pool. Raises ServiceError for a name that is taken or cannot be."""
        self._check_name(name)
        self._last += 1
        pool = Pool(self._last, name, created, **settings)
        self.by_id[pool.id] = pool
        return pool

    def find(self, name: str) -> Pool | None:
        """The pool of this name, or None."""
        return next((pool for pool in self.by_id.values() if pool.name.casefold() == name.casefold()), None)

    def get(self, pool_id: int) -> Pool:
        """The pool of this number. Raises ServiceError."""
        if pool_id not in self.by_id:
            raise ServiceError("TaskAgentPoolNotFoundException", f"No agent pool found with identifier {pool_id}.")
        return self.by_id[pool_id]

    def rename(self, pool: Pool, name: str) -> None:
        """Give `pool` another name. Raises ServiceError."""
        if name != pool.name:
            self._check_name(name, besides=pool)
            pool.name = name

    def _check_name(self, name: str, besides: Pool | None = None) -> None:
        if not name.strip() or len(name) > NAME_LENGTH or any(letter in _FORBIDDEN or ord(letter) < 32 for letter in name):
            raise ServiceError("VssPropertyValidationException", f"The name {name!r} cannot be the name of an agent pool.")
        if self.find(name) not in (None, besides):
            raise ServiceError("TaskAgentPoolExistsException", f"Agent pool {name} already exists.")
