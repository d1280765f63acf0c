"""The scheduling of an instance: spot, what maintenance does to it, and how long it may live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.refused import Refused, invalid

SHORTEST_S = 30
LONGEST_S = 120 * 24 * 3600
"""https://cloud.google.com/compute/docs/instances/limit-vm-runtime"""


def scheduling_of(book: Book, given: Mapping[str, Any], *, gpu: bool) -> tuple[Document, int]:
    """The scheduling as the instance shows it, and its longest life in seconds (0: none). Raises Refused."""
    spot = given.get("provisioningModel") == "SPOT" or bool(given.get("preemptible"))
    action = given.get("instanceTerminationAction")
    limited = "maxRunDuration" in given or "terminationTime" in given
    if given.get("provisioningModel") == "STANDARD" and given.get("preemptible"):
        raise Refused("badRequest", "Provisioning model STANDARD and preemptible=true exclude each other.")
    if action and not (given.get("provisioningModel") == "SPOT" or limited):
        text = (
            "You cannot specify a termination action for a VM instance that has the standard provisioning model (default). To use instance "
            "termination action, the VM instance must use the spot provisioning model."
        )
        raise Refused("badRequest", text)
    if limited and not action:
        raise Refused("badRequest", "You must specify an instance termination action for a VM instance that has a limited run time.")
    maintenance = given.get("onHostMaintenance") or ("TERMINATE" if spot else "MIGRATE")
    if gpu and maintenance != "TERMINATE":
        raise Refused("badRequest", "Instances with guest accelerators do not support live migration.")
    if spot and maintenance != "TERMINATE":
        raise Refused("badRequest", "Scheduling must have preemptible be false when OnHostMaintenance isn't TERMINATE.")
    if spot and given.get("automaticRestart"):
        raise Refused("badRequest", "Scheduling must have preemptible be false when AutomaticRestart is true.")
    shown: Document = {
        "onHostMaintenance": maintenance,
        "automaticRestart": bool(given.get("automaticRestart", not spot)),
        "preemptible": spot,
        "provisioningModel": "SPOT" if given.get("provisioningModel") == "SPOT" else "STANDARD",
    }
    if action or given.get("provisioningModel") == "SPOT":
        shown["instanceTerminationAction"] = action or "STOP"
    seconds = 0
    if "maxRunDuration" in given:
        seconds = int(given["maxRunDuration"].get("seconds", 0))
        if not SHORTEST_S <= seconds <= LONGEST_S:
            text = f"The run duration is from {SHORTEST_S} seconds to 120 days."
            raise invalid("resource.scheduling.maxRunDuration.seconds", str(seconds), text)
        shown["maxRunDuration"] = {"seconds": str(seconds)}
    return shown, seconds
