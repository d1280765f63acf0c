"""An end of each machine by Azure's own clock: an auto-shutdown, which deallocates it when its time is over.

First boot powers the machine off at that time, and Azure bills a machine that is off: only one that is deallocated costs no more than its disk and
address. A schedule has a time of day and no date, so that it serves for launches of less than a day.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import GenericResource

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.operations import finished
from goldbake.clouds.azure.resources import MACHINE, SCHEDULE, SCHEDULES_API, id_of
from goldbake.clouds.azure.role import SCHEDULES as PROVIDER
from launch.base import LaunchSpec

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

REGISTER = f"az provider register --namespace {PROVIDER}"

_LIFE_S = range(15 * 60, 24 * 3600 - 60)
"""A shorter life is over before the schedule is looked at, and a longer one would end a day early."""
_PATIENCE_S = 60.0


def fits(spec: LaunchSpec, now: float) -> bool:
    """Whether a time of day says when machines of this launch end."""
    return int(spec.expires - now) in _LIFE_S


def is_registered(azure: Azure) -> bool:
    """Whether the subscription may have such schedules; no, when that cannot be told."""
    try:
        return word(azure.client(ResourceManagementClient).providers.get(PROVIDER).registration_state) == "Registered"
    except AzureError:
        return False


def put(azure: Azure, spec: LaunchSpec, group: str, region: str, machine: str) -> None:
    """Let Azure deallocate a VM at the end of its launch. Raises AzureError or Failure."""
    name = f"shutdown-computevm-{machine}"  # the portal shows only one that is called so
    body = {
        "location": region,
        "tags": spec.tags(),
        "properties": {
            "status": "Enabled",
            "taskType": "ComputeVmShutdownTask",
            "dailyRecurrence": {"time": time.strftime("%H%M", time.gmtime(spec.expires))},
            "timeZoneId": "UTC",
            "notificationSettings": {"status": "Disabled"},
            "targetResourceId": id_of(MACHINE, azure.subscription, group, machine),
        },
    }
    resources = azure.client(ResourceManagementClient).resources
    schedule = id_of(SCHEDULE, azure.subscription, group, name)
    poller = resources.begin_create_or_update_by_id(schedule, GenericResource(body), api_version=SCHEDULES_API)
    finished(poller, doing=f"schedule the end of {machine}", place=region, patience=_PATIENCE_S)
