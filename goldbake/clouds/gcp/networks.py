"""The rows of `doctor` about the network in which instances are: subnet, the way out, and the way in for SSH. And the base images."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.cloud import compute_v1

from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.config import base_images
from goldbake.config.model import Os
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

DEFAULT = "default"
"""The network of a new project, with a subnet in each region and rules that let SSH in."""
IAP_RANGE = "35.235.240.0/20"
"""Where Identity-Aware Proxy comes from: https://cloud.google.com/iap/docs/using-tcp-forwarding."""
_NOT_OUTSIDE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", IAP_RANGE)
"""From where nobody reaches a public address: networks like Google's own (RFC 1918, 6598, 4193), and the proxy, which needs its communicator."""
_SSH = 22


@dataclass(frozen=True)
class Network:
    """Where an instance is to be, and how it is reached."""

    network: str = ""
    """Empty: the default network."""
    subnet: str = ""
    project: str = ""
    """The host project of a Shared VPC; empty: the project itself."""
    tags: tuple[str, ...] = ()
    iap: bool = False
    private: bool = False


PLAIN = Network()
"""What a project has from the start."""


def newest_base(gcp: Gcp, system: Os) -> str:
    """The name of the newest image of an operating system's family. Raises Failure."""
    base = base_images.GCP[system]
    try:
        return gcp.client(compute_v1.ImagesClient).get_from_family(project=base.project, family=base.family).name
    except RAISED as error:
        raise failure(error, doing=f"show the newest {base.family} of {base.project}", place="global") from error


def examine(gcp: Gcp, region: str, wanted: Network, *, ssh: bool) -> Iterator[Finding]:
    """Look at a network in a region; with `ssh` at the rules that let it in as well, which Packer needs. Raises Failure."""
    project = wanted.project or gcp.project
    name = wanted.subnet or wanted.network or DEFAULT
    try:
        found = list(gcp.client(compute_v1.SubnetworksClient).list(project=project, region=region))
    except RAISED as error:
        raise failure(error, doing="list subnets", place=region) from error
    subnets = [one for one in found if _is_wanted(one, wanted)]
    what = f"network {region}"
    if not subnets:
        there = ", ".join(sorted(one.name for one in found)) or "none"
        yield Finding(
            what,
            f"{project} has no subnet {name} here (there is: {there})",
            f"`gcloud compute networks create {DEFAULT} --project {project}`, or name one: gcp.network and gcp.subnet in images.yaml for bakes,"
            " --subnet for launches",
        )
        return
    yield Finding(what, f"{subnets[0].name} {subnets[0].ip_cidr_range}")
    network = _tail(subnets[0].network)
    if wanted.private or not ssh:
        yield from _way_out(gcp, project, region, network, required=wanted.private)
    if ssh:
        yield _way_in(gcp, project, network, wanted)


def _is_wanted(one: compute_v1.Subnetwork, wanted: Network) -> bool:
    if wanted.subnet:
        return one.name == _tail(wanted.subnet)
    return _tail(one.network) == (wanted.network or DEFAULT)


def _way_out(gcp: Gcp, project: str, region: str, network: str, *, required: bool) -> Iterator[Finding]:
    try:
        routers = list(gcp.client(compute_v1.RoutersClient).list(project=project, region=region))
    except RAISED as error:
        raise failure(error, doing="list routers", place=region) from error
    nats = [nat.name for router in routers if _tail(router.network) == network for nat in router.nats]
    fix = (
        f"`gcloud compute routers create goldbake --network {network} --region {region} --project {project}`, then `gcloud compute routers nats"
        f" create goldbake --router goldbake --region {region} --project {project} --auto-allocate-nat-external-ips"
        " --nat-all-subnet-ip-ranges`; or give machines an address: --public-ip"
    )
    state = f"Cloud NAT {', '.join(nats)}" if nats else "no Cloud NAT: instances without a public address reach nothing"
    yield Finding(f"way out {region}", state, "" if nats else fix, required=required)


def _way_in(gcp: Gcp, project: str, network: str, wanted: Network) -> Finding:
    """Whether some rule lets SSH in from where Packer comes: anywhere, or Identity-Aware Proxy."""
    try:
        rules = list(gcp.client(compute_v1.FirewallsClient).list(project=project))
    except RAISED as error:
        raise failure(error, doing="list firewall rules", place="global") from error
    open_ones = [rule for rule in rules if _tail(rule.network) == network and _lets_in(rule, wanted)]
    ranges = IAP_RANGE if wanted.iap else "ADDRESS-OF-THIS-MACHINE/32"
    target = f" --target-tags {','.join(wanted.tags)}" if wanted.tags else ""
    fix = (
        f"`gcloud compute firewall-rules create goldbake-bakes --network {network} --project {project} --allow tcp:{_SSH} --source-ranges {ranges}"
        f"{target}`"
    )
    source = "Identity-Aware Proxy" if wanted.iap else "outside"
    if not open_ones:
        return Finding(f"SSH to bakes in {network}", f"no rule lets it in from {source}", fix)
    first = open_ones[0]
    return Finding(f"SSH to bakes in {network}", f"rule {first.name} lets it in from {', '.join(first.source_ranges)}")


def _lets_in(rule: compute_v1.Firewall, wanted: Network) -> bool:
    if rule.direction == "EGRESS" or rule.disabled or rule.target_service_accounts or not rule.source_ranges:
        return False
    if rule.target_tags and not set(rule.target_tags) & set(wanted.tags):
        return False
    if wanted.iap and not any(_covers(span, IAP_RANGE) for span in rule.source_ranges):
        return False
    if not (wanted.iap or wanted.private) and all(any(_covers(one, span) for one in _NOT_OUTSIDE) for span in rule.source_ranges):
        return False  # as default-allow-internal: Packer comes from outside
    return any(allowed.I_p_protocol in ("all", "tcp", "6") and _has_port(list(allowed.ports)) for allowed in rule.allowed)


def _covers(span: str, inner: str) -> bool:
    outer, wanted = ipaddress.ip_network(span, strict=False), ipaddress.ip_network(inner, strict=False)
    return outer.version == wanted.version and outer.prefixlen <= wanted.prefixlen and wanted.network_address in outer


def _has_port(ports: list[str]) -> bool:
    for span in ports:
        low, _, high = span.partition("-")
        if int(low) <= _SSH <= int(high or low):
            return True
    return not ports


def _tail(link: str) -> str:
    return link.rpartition("/")[2]
