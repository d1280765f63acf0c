"""What EC2 tells of a running instance: why it ended, and what it has printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import ERRORS, code_of, refused
from goldbake.clouds.failure import Failure, death
from launch.base import Instance
from launch.observe import Seen

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_LIVING = frozenset({"pending", "running"})


def died(instance: Instance, seen: Seen) -> Failure | None:
    """What the end of an instance means: EC2 may take back what it has given, and says why only afterwards. None while it lives."""
    if seen.state in _LIVING:
        return None
    what = f"{instance.id} in {instance.place} is {seen.state}"
    found = refused(seen.code, seen.message, doing="", region=instance.place)
    return death(ERRORS.get(seen.code), seen.code, seen.message, what=what, cloud="EC2", found=found)


class ConsoleReader:
    """Reads a console as its type of instance allows; `ec2` gives the client of an instance's region."""

    def __init__(self, ec2: Callable[[Instance], EC2Client]) -> None:
        self._ec2 = ec2
        self._old: set[str] = set()
        self._denied = False

    def __call__(self, instance: Instance) -> str | None:
        if self._denied:
            return None
        latest = instance.kind not in self._old
        try:
            return self._ec2(instance).get_console_output(InstanceId=instance.id, Latest=latest).get("Output", "")
        except (BotoCoreError, ClientError) as error:
            code = code_of(error)
            if latest and code in ("UnsupportedOperation", "InvalidParameterCombination", "Unsupported"):
                self._old.add(instance.kind)  # types without Nitro have only the text that EC2 takes now and then
            elif code in ("UnauthorizedOperation", "AccessDenied"):
                self._denied = True
            return None
