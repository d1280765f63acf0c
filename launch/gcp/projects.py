"""In which project a launch is: a person has several, and a launch stays where it was made whatever project is the own one later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.session import Gcp
from launch.base import ACCOUNT

T = TypeVar("T")


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

    def look(self, launch_id: str | None, work: Callable[[Gcp], list[T]]) -> list[tuple[str, list[T]]]:
        """The result of `work` in the project of a launch; in all that are known, when it is not. Raises Failure."""
        known = self._known(launch_id) if launch_id else ""
        found = []
        for project in (known,) if known else dict.fromkeys((self.own.project, *self._accounts())):
            try:
                found.append((project, work(self._open(project))))
            except RAISED as error:
                raise failure(error, doing=f"say what is in {project}", place="global") from error
        return found

    def _known(self, launch_id: str) -> str:
        return self._homes.get(launch_id) or self._remembered(launch_id).get(ACCOUNT, "")

    def _open(self, name: str) -> Gcp:
        with self._mutex:
            if name not in self._opened:
                self._opened[name] = Gcp(name)
            return self._opened[name]
