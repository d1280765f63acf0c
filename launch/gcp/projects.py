"""In which project a launch is: a person has several, and a launch stays where it was made whatever project is the own one later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from goldbake.clouds.failure import Failure
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.session import Gcp
from launch.base import ACCOUNT, Instance, Resource, require_seen

T = TypeVar("T", Instance, Resource)


class Projects:
    """The own project, and those of launches; `remembered` and `accounts` as for `GcpLauncher`."""

    def __init__(self, own: Gcp, remembered: Callable[[str], Mapping[str, str]], accounts: Callable[[], Sequence[str]]) -> None:
        self.own = own
        self._remembered = remembered
        self._accounts = accounts
        self._opened: dict[str, Gcp] = {own.project: own}
        self._homes: dict[str, str] = {}
        self._mutex = threading.Lock()

    def home(self, launch_id: str) -> Gcp:
        """The project of a launch: where it was made or found, else where its journal says, else the own one."""
        return self._open(self._known(launch_id) or self.own.project)

    def found(self, launch_ids: Iterable[str], project: str) -> None:
        """These launches are there."""
        with self._mutex:
            self._homes |= dict.fromkeys(launch_ids, project)

    def look(self, launch_id: str | None, work: Callable[[Gcp], list[T]]) -> list[T]:
        """What `work` finds in the project of a launch; in all that are known, when it is not.

        Raises Failure; PartlySeen when only some of all could be asked.
        """
        known = self._known(launch_id) if launch_id else ""
        projects = [known] if known else list(dict.fromkeys((self.own.project, *self._accounts())))
        found, problems = list[T](), list[Failure]()
        for project in projects:
            try:
                of_project = work(self._open(project))
            except RAISED as error:
                problems.append(failure(error, doing=f"say what is in project {project}", place="global"))
                continue
            self.found((one.launch_id for one in of_project), project)
            found += of_project
        require_seen(launch_id, len(projects), found, problems)
        return found

    def _known(self, launch_id: str) -> str:
        return self._homes.get(launch_id) or self._remembered(launch_id).get(ACCOUNT, "")

    def _open(self, name: str) -> Gcp:
        with self._mutex:
            if name not in self._opened:
                self._opened[name] = Gcp(name)
            return self._opened[name]
