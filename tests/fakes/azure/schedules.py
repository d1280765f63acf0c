"""Auto-shutdown of machines: Microsoft.DevTestLab/schedules, which deallocates one at a time of day and stays when the machine is gone."""

from __future__ import annotations

import re

from tests.fakes.azure import machines
from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.times import now

SCHEDULE = "Microsoft.DevTestLab/schedules"
_PREFIX = "shutdown-computevm-"
_PROPERTIES = frozenset(
    {"status", "taskType", "dailyRecurrence", "timeZoneId", "notificationSettings", "targetResourceId", "provisioningState"}
)
_TIME = re.compile(r"([01]\d|2[0-3])[0-5]\d")


def _make(ask: Ask, new: Resource, old: Resource | None) -> None:
    new.body["location"] = require_location(str(new.body.get("location", "")))
    new.body["tags"] = dict(new.body.get("tags") or {})
    properties = new.properties
    strange = properties.keys() - _PROPERTIES
    target = ask.book.find(str(properties.get("targetResourceId", "")))
    time = str((properties.get("dailyRecurrence") or {}).get("time", ""))
    checks = (
        (bool(strange), f"Could not find member '{', '.join(sorted(strange))}' on object of type 'Schedule'."),
        (properties.get("taskType") != "ComputeVmShutdownTask", "The task type of the schedule is invalid."),
        (properties.get("status") not in ("Enabled", "Disabled"), "The status of the schedule is invalid."),
        (not _TIME.fullmatch(time), f"The time '{time}' of the daily recurrence is invalid."),
        (not properties.get("timeZoneId"), "The time zone of the schedule is invalid."),
        (target is None or target.type != machines.MACHINE, "The target resource of the schedule was not found."),
        (target is not None and target.location != new.location, "The schedule and its target resource must be in the same region."),
        (
            target is not None and new.name.lower() != f"{_PREFIX}{target.name}".lower(),
            "A schedule for a virtual machine must be named after it.",
        ),
    )
    for wrong, text in checks:
        if wrong:
            raise Refused("InvalidScheduleParameters", text, 400)
    properties |= {"createdDate": now(), "uniqueIdentifier": f"{ask.book.next():032x}"}


def due(book: Book, one: Resource) -> bool:
    """Do what the schedule of a machine says, as at its time of day. False: there is none."""
    for schedule in book.of(SCHEDULE):
        properties = schedule.properties
        if str(properties["targetResourceId"]).lower() == one.id.lower() and properties["status"] == "Enabled":
            machines.stop(book, one, "deallocated")
            return True
    return False


known(Kind(SCHEDULE, make=_make, instant=frozenset({"PUT", "PATCH", "DELETE"})))
