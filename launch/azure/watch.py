"""What Azure tells of a running machine: why it ended, and what it has printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.core import PipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline import policies
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import ERRORS, failure, refused
from goldbake.clouds.azure.refusals_requests import NO_CODE
from goldbake.clouds.failure import Failure, Scope, death
from launch.base import Instance
from launch.observe import GONE, Seen

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_LIVING = frozenset({"", "creating", "updating", "succeeded", "starting", "running"})
_FAILED = "ProvisioningState/failed/"
_POWER = "PowerState/"
_EVICTED = "Evicted"
"""Our word for spare capacity that was taken back: Azure deletes the machine, and nothing is left that could say why."""
_TIMEOUT_S = 20
_OK = 200
_MOST = 256 * 1024
"""Bytes of the end of a console; first boot's lines are among them."""


def seen(item: Any) -> Seen:
    """The state of a VM that was asked for with its instance view: its power state, or that it failed, with Azure's code."""
    statuses = (item.instance_view.statuses if item.instance_view else None) or ()
    for status in statuses:
        code = str(status.code or "")
        if code.startswith(_FAILED):
            return Seen("failed", code.removeprefix(_FAILED), str(status.message or ""))
    state = word(item.provisioning_state).lower()
    if state in ("failed", "canceled"):
        return Seen("failed", NO_CODE)
    power = next((str(status.code).removeprefix(_POWER) for status in statuses if str(status.code or "").startswith(_POWER)), "")
    return Seen(state if state == "deleting" else power or state)


def died(instance: Instance, seen: Seen) -> Failure | None:
    """What the end of a machine means: Azure may take back what it has given, and says why only afterwards. None while it lives."""
    if seen.state in _LIVING:
        return None
    what = f"{instance.id} in {instance.place} is {seen.state}"
    if seen.state == GONE and instance.place.endswith("(spot)"):
        said = f"{what}: Azure has taken its spare capacity back, or somebody has deleted it"
        return Failure(Scope.ZONE, _EVICTED, said, hint="run the command again, without --spot-only for capacity that stays")
    found = refused(seen.code, seen.message, doing=f"keep {instance.id}", place=instance.place)
    return death(ERRORS.get(seen.code), seen.code, seen.message, what=what, cloud="Azure", found=found)


class ConsoleReader:
    """Reads the boot log that Azure keeps of a machine. `group` gives the resource group of an instance.

    Azure answers an address with a signature in it, good for two hours: it is asked for once, and never shown.
    """

    def __init__(self, azure: Azure, group: Callable[[Instance], str]) -> None:
        self._azure = azure
        self._group = group
        self._links: dict[str, str] = {}
        self._denied = False

    def __call__(self, instance: Instance) -> str | None:
        if self._denied:
            return None
        try:
            link = self._links.get(instance.id) or self._link(instance)
            text = _read(link)
        except AzureError as error:
            self._denied = failure(error, doing="read a console", place=instance.place).scope is Scope.ACCOUNT
            return None
        if text is None:
            self._links.pop(instance.id, None)  # it is too old, or there is no log yet
        return text

    def _link(self, instance: Instance) -> str:
        calls = self._azure.client(ComputeManagementClient).virtual_machines
        found = calls.retrieve_boot_diagnostics_data(self._group(instance), instance.id).serial_console_log_blob_uri
        self._links[instance.id] = str(found or "")
        return self._links[instance.id]


def _read(link: str) -> str | None:
    """The end of a console; None when the address is too old, or there is no log yet. Raises AzureError."""
    chain: list[Any] = [policies.UserAgentPolicy(base_user_agent="goldbake"), policies.ProxyPolicy()]
    make = PipelineClient[HttpRequest, HttpResponse]
    with make("", policies=chain, connection_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S) as client:
        answer = client.send_request(HttpRequest("GET", link))
        return answer.content[-_MOST:].decode(errors="replace") if answer.status_code == _OK else None
