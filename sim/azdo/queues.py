"""Projects and their queues: a pool can be used in a project that has a queue for it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sim.azdo.errors import ServiceError

DEFAULT_PROJECT = "demo"
"""A project that is there from the start."""


@dataclass(frozen=True)
class Queue:
    """A queue of a project (`project` is its UUID)."""

    id: int
    project: str
    pool_id: int
    name: str

    def document(self, pool: dict[str, Any]) -> dict[str, Any]:
        """As a TaskAgentQueue with the reference of its pool."""
        return {"id": self.id, "name": self.name, "pool": pool, "projectId": self.project}


class Queues:
    """All queues; a project is named by its name or its UUID."""

    def __init__(self) -> None:
        self.projects = {DEFAULT_PROJECT: str(uuid.uuid4())}
        self.by_id: dict[int, Queue] = {}
        self._last = 0

    def project(self, name: str) -> str:
        """The UUID of a project. Raises ServiceError."""
        for known, number in self.projects.items():
            if name.casefold() in (known.casefold(), number):
                return number
        raise ServiceError(
            "ProjectDoesNotExistWithNameException",
            f"TF200016: The following project does not exist: {name}. Verify that the name of the project is correct.",
        )

    def of(self, project: str) -> list[Queue]:
        """The queues of a project."""
        return [queue for queue in self.by_id.values() if queue.project == project]

    def get(self, project: str, queue_id: int) -> Queue:
        """One queue. Raises ServiceError."""
        queue = self.by_id.get(queue_id)
        if queue is None or queue.project != project:
            raise ServiceError("TaskAgentQueueNotFoundException", f"No agent queue found with identifier {queue_id}.")
        return queue

    def add(self, project: str, pool_id: int, name: str) -> Queue:
        """A new queue. Raises ServiceError when the project has one of this name."""
        if any(queue.name.casefold() == name.casefold() for queue in self.of(project)):
            raise ServiceError("TaskAgentQueueExistsException", f"Agent queue {name} already exists.")
        self._last += 1
        queue = Queue(self._last, project, pool_id, name)
        self.by_id[queue.id] = queue
        return queue

    def provision(self, pool_id: int, name: str) -> None:
        """A queue in every project that has none of this name: what autoProvision does."""
        for project in self.projects.values():
            if all(queue.name.casefold() != name.casefold() for queue in self.of(project)):
                self.add(project, pool_id, name)

    def forget(self, pool_id: int) -> None:
        """Remove the queues of a pool."""
        self.by_id = {number: queue for number, queue in self.by_id.items() if queue.pool_id != pool_id}
