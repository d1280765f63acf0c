"""The network side of a launch on Compute Engine: a subnet that reaches the service, and the firewall rule that lets SSH in."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.api_core.exceptions import Forbidden
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.resources import EXISTS, is_gone
from goldbake.errors import MissingError, UsageError
from launch.base import CloudOptions

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

DEFAULT = "default"
"""The network that a new project has, with a subnet in each region."""
_RULE_S = 120.0
_SUBNET = re.compile(r"(?:(?:.*/)?projects/(?P<project>[^/]+)/)?(?:regions/(?P<region>[^/]+)/subnetworks/)?(?P<name>[a-z][-a-z0-9]*)")
_PATH = re.compile(r".*/(?=projects/)")


@dataclass(frozen=True)
class Subnet:
    """A subnet in which instances can be, and its network; both as `projects/P/…`."""

    path: str
    network: str


def subnet(gcp: Gcp, region: str, options: CloudOptions) -> Subnet:
    """The subnet of a region from which an instance reaches the internet as `options` want it; or exactly the one that was named.

    Raises UsageError or MissingError with what to name, and what the calls raise.
    """
    client = gcp.client(compute_v1.SubnetworksClient)
    if options.subnet:
        said = _SUBNET.fullmatch(options.subnet)
        if said is None or said["region"] not in (None, region):
            raise UsageError(
                f"--subnet {options.subnet} is no subnet of {region}", hint=f"a name, or projects/P/regions/{region}/subnetworks/NAME"
            )
        return _subnet(client.get(project=said["project"] or gcp.project, region=region, subnetwork=said["name"]))
    found = [item for item in client.list(project=gcp.project, region=region) if item.purpose in ("", "PRIVATE")]
    fit = [item for item in found if _tail(item.network) == DEFAULT] or found
    if len({item.network for item in fit}) != 1:
        what = f"no subnet in {region}" if not fit else f"no network {DEFAULT} in {region} but {len({item.network for item in fit})} others"
        raise MissingError(
            f"{gcp.project} has {what}",
            hint=f"name one: --subnet NAME; or `gcloud compute networks create {DEFAULT} --project {gcp.project}`",
        )
    best = _subnet(min(fit, key=lambda item: item.name))
    if not options.public_address and not _has_way_out(gcp, region, best):
        raise UsageError(
            f"instances without a public address reach nothing from {best.path}: no Cloud NAT of {region} serves it",
            hint=f"give them one with --public-ip, name a subnet that has a way out: --subnet NAME, or {_make_nat(gcp, region, best)}",
        )
    return best


class Doors:
    """The firewall rules of one launch, one per network: made by whoever needs one first."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._mutex = threading.Lock()

    def open(self, gcp: Gcp, rule: compute_v1.Firewall) -> None:
        """Let in what the rule says. Raises Failure."""
        with self._mutex:
            if rule.name in self._open:
                return
            doing = "make the firewall rule for SSH"
            try:
                operation = gcp.client(compute_v1.FirewallsClient).insert_unary(project=gcp.project, firewall_resource=rule)
            except RAISED as error:
                found = failure(error, doing=doing, place="global")
                if found.code not in EXISTS:
                    raise found from error
                _require_ours(gcp, rule, found)
            else:
                finished(gcp, operation, doing=doing, patience=_RULE_S)
            self._open.add(rule.name)


def _require_ours(gcp: Gcp, rule: compute_v1.Firewall, found: Failure) -> None:
    """Raise Failure unless the call before this one made the rule, and we did not get its answer. One that is still being made is not shown yet."""
    try:
        shown = gcp.client(compute_v1.FirewallsClient).get(project=gcp.project, firewall=rule.name)
    except RAISED as error:
        if is_gone(error):
            raise Failure(Scope.RETRY, found.code, found.message, hint=found.hint) from error
        raise failure(error, doing=f"look at the firewall rule {rule.name}", place="global") from error
    if shown.description != rule.description:
        raise found


def _has_way_out(gcp: Gcp, region: str, wanted: Subnet) -> bool:
    try:
        routers = list(gcp.client(compute_v1.RoutersClient).list(project=gcp.project, region=region))
    except Forbidden:
        return True  # it is only to warn, and whoever may not look cannot be warned
    return any(_path(router.network) == wanted.network and _serves(router.nats, wanted) for router in routers)


def _serves(nats: Sequence[compute_v1.RouterNat], wanted: Subnet) -> bool:
    return any(
        nat.source_subnetwork_ip_ranges_to_nat.startswith("ALL_SUBNETWORKS_")
        or any(_path(served.name) == wanted.path for served in nat.subnetworks)
        for nat in nats
    )


def _make_nat(gcp: Gcp, region: str, wanted: Subnet) -> str:
    return (
        f"`gcloud compute routers create nat --network {_tail(wanted.network)} --region {region} --project {gcp.project}` and"
        f" `gcloud compute routers nats create nat --router nat --region {region} --project {gcp.project}"
        " --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges`"
    )


def _subnet(item: compute_v1.Subnetwork) -> Subnet:
    return Subnet(_path(item.self_link), _path(item.network))


def _path(link: str) -> str:
    return _PATH.sub("", link)


def _tail(link: str) -> str:
    return link.rpartition("/")[2]
