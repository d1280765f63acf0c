"""What the instances of a launch print and whether they live, for many waiting threads at the price of a few calls."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import ERRORS, code_of, refused
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from launch.base import Instance

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

LOOK_S = 5.0
"""Seconds between two looks at the states of a launch."""
APPEAR_S = 120.0
"""How long an instance may be unknown to EC2 after its create call: the service agrees with itself only after a while."""
CONSOLES_PER_S = 4.0
CONSOLES_AT_ONCE = 8
"""Consoles read in a second, over the whole launch, and how many at once. EC2 refills 20 calls a second per account and region for all
reading calls of a kind; others work there too (EC2 developer guide: request throttling)."""
CONSOLE_S = 5.0
"""The least seconds between two looks at the same console."""

_LIVING = frozenset({"pending", "running"})


@dataclass(frozen=True)
class Seen:
    """An instance's state, and the code and message of the reason for it."""

    state: str
    code: str = ""
    message: str = ""


class Deaths:
    """The states of all instances of one launch; one thread asks for all."""

    def __init__(self, look: Callable[[], Iterable[tuple[str, Seen]]], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._mutex = threading.Lock()
        self._asked: float | None = None
        self._seen: Mapping[str, Seen] = {}
        self._known: set[str] = set()
        self._first: dict[str, float] = {}

    def of(self, instance: Instance) -> Failure | None:
        """Why the instance does not run any more. Raises Failure when EC2 cannot be asked and asking again would not help."""
        with self._mutex:
            now = self._clock()
            self._first.setdefault(instance.id, now)
            if self._asked is None or now - self._asked >= LOOK_S:
                try:
                    self._seen = dict(self._look())
                    self._known |= set(self._seen)
                except Failure as error:
                    if error.scope is not Scope.RETRY:
                        raise
                self._asked = self._clock()
            seen = self._seen.get(instance.id)
            if seen is None:
                if instance.id not in self._known and now - self._first[instance.id] < APPEAR_S:
                    return None
                seen = Seen("gone")
        return None if seen.state in _LIVING else died(instance, seen)


def died(instance: Instance, seen: Seen) -> Failure:
    """What the end of an instance means: EC2 may take back what it has given, and says why only afterwards."""
    said = f"{seen.code}: {seen.message.removeprefix(f'{seen.code}: ')}" if seen.code else "EC2 does not say why"
    row = ERRORS.get(seen.code)
    message = f"{instance.id} in {instance.place} is {seen.state}: " + (f"{row.meaning.rstrip('.')} ({said})" if row else said)
    if row is None:
        return Failure(Scope.REQUEST, seen.code or "ended", message, hint="its console may tell more", exit_code=Exit.FAILED)
    hint = refused(seen.code, seen.message, doing="", region=instance.place).hint
    return Failure(row.scope, seen.code, message, hint=hint, exit_code=row.exit_code)


class Consoles:
    """The last text of each console; a look that the budget does not allow returns the text of the one before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._texts: dict[str, str] = {}
        self._asked: dict[str, float] = {}
        self._budget = float(CONSOLES_AT_ONCE)
        self._filled: float | None = None
        self._old: set[str] = set()
        self._denied = False

    def read(self, ec2: EC2Client, instance: Instance) -> str:
        """What the instance has printed, as far as is known; never raises: a console explains, it decides nothing."""
        if self._may(instance.id):
            text = self._ask(ec2, instance)
            if text is not None:
                with self._mutex:
                    self._texts[instance.id] = text
        return self._texts.get(instance.id, "")

    def _may(self, name: str) -> bool:
        with self._mutex:
            now = self._clock()
            if self._filled is not None:
                self._budget = min(CONSOLES_AT_ONCE, self._budget + (now - self._filled) * CONSOLES_PER_S)
            self._filled = now
            self._asked.setdefault(name, -math.inf)
            turn = max(CONSOLE_S, len(self._asked) / CONSOLES_PER_S)  # so that each has its turn
            if self._denied or self._budget < 1 or now - self._asked[name] < turn:
                return False
            self._budget -= 1
            self._asked[name] = now
            return True

    def _ask(self, ec2: EC2Client, instance: Instance) -> str | None:
        latest = instance.kind not in self._old
        try:
            return ec2.get_console_output(InstanceId=instance.id, Latest=latest).get("Output", "")
        except (BotoCoreError, ClientError) as error:
            code = code_of(error)
            if latest and code in ("UnsupportedOperation", "InvalidParameterCombination", "Unsupported"):
                self._old.add(instance.kind)  # types without Nitro have only the text that EC2 takes now and then
            elif code in ("UnauthorizedOperation", "AccessDenied"):
                self._denied = True
            return None
