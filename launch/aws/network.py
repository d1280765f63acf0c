"""The network side of a launch on EC2: subnets that reach the service, and the security group of the agents."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds import tags
from goldbake.clouds.aws.errors import code_of, failure
from goldbake.clouds.aws.resources import tag_list
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import MissingError, UsageError
from launch.base import CloudOptions, LaunchSpec

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

SHARED = "goldbake-shared"
AGENTS = "agents"
"""Tag and value of the security group that all launches of a VPC use: nobody may come in, everything may go out."""

GROUP_NAME = "goldbake-agents"
_SSH = 22


@dataclass(frozen=True)
class Subnet:
    """A subnet in which instances can be."""

    id: str
    zone: str
    vpc: str


def subnets(ec2: EC2Client, region: str, options: CloudOptions) -> tuple[Subnet, ...]:
    """One subnet per zone, from which an instance reaches the internet as `options` want it; or exactly the one that was named.

    Raises UsageError or MissingError with what to name, and what the calls raise.
    """
    if options.subnet:
        found = ec2.describe_subnets(SubnetIds=[options.subnet])["Subnets"]
        return tuple(_subnet(item) for item in found)
    vpc = _vpc(ec2, region)
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    items = [item for page in pages for item in page["Subnets"] if item.get("State", "available") == "available"]
    if not items:
        raise MissingError(f"{vpc} in {region} has no subnet", hint="name one: --subnet subnet-…")
    gateways = _internet_gateways(ec2, vpc)
    fit = [item for item in items if options.public_address or not _is_open(item["SubnetId"], gateways)]
    if not fit:
        raise UsageError(
            f"instances without a public address reach nothing from {vpc} in {region}: its subnets have no way out but the internet gateway",
            hint="give them one with --public-ip, or name a subnet behind a NAT gateway: --subnet subnet-…",
        )
    best = sorted(fit, key=lambda item: (item["AvailabilityZone"], not item.get("DefaultForAz"), -item.get("AvailableIpAddressCount", 0)))
    by_zone: dict[str, Subnet] = {}
    for item in best:
        by_zone.setdefault(item["AvailabilityZone"], _subnet(item))
    return tuple(by_zone.values())


class Groups:
    """The security groups of one launch, one per VPC: found or made by whoever needs one first."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._mutex = threading.Lock()

    def id(self, ec2: EC2Client, region: str, vpc: str, spec: LaunchSpec, ssh_from: str) -> str:
        """The group for instances of this launch. Raises Failure."""
        with self._mutex:
            if vpc not in self._known:
                try:
                    self._known[vpc] = _own(ec2, vpc, spec, ssh_from) if ssh_from else _shared(ec2, vpc)
                except (BotoCoreError, ClientError) as error:
                    raise failure(error, doing="make the security group of the agents", region=region) from error
            return self._known[vpc]

    def forget(self, vpc: str) -> None:
        """Another launch was the last user of the shared group and took it with it."""
        with self._mutex:
            self._known.pop(vpc, None)


def _shared(ec2: EC2Client, vpc: str) -> str:
    if (found := _find(ec2, vpc, {tags.MANAGED_BY: tags.OWNER, SHARED: AGENTS})) is not None:
        return found
    given = {tags.MANAGED_BY: tags.OWNER, SHARED: AGENTS, "Name": GROUP_NAME}
    try:
        return _make(ec2, vpc, GROUP_NAME, "agents of goldbake: nobody may come in", given)
    except ClientError as error:
        if code_of(error) != "InvalidGroup.Duplicate":
            raise
        if (found := _find(ec2, vpc, {tags.MANAGED_BY: tags.OWNER, SHARED: AGENTS})) is not None:
            return found  # another launch made it a moment ago
        raise Failure(
            Scope.REQUEST,
            "InvalidGroup.Duplicate",
            f"{vpc} has a security group {GROUP_NAME} that is not goldbake's: the tag {SHARED} is missing",
            hint=f"rename or delete it, or tag it {tags.MANAGED_BY}={tags.OWNER} and {SHARED}={AGENTS}",
        ) from error


def _own(ec2: EC2Client, vpc: str, spec: LaunchSpec, ssh_from: str) -> str:
    """A group of this launch alone, which lets SSH in."""
    given = spec.tags() | {"Name": f"goldbake-{spec.launch_id}"}
    try:
        group = _make(ec2, vpc, f"goldbake-{spec.launch_id}", f"SSH to agents of launch {spec.launch_id}", given)
    except ClientError as error:
        found = _find(ec2, vpc, spec.tags())
        if code_of(error) != "InvalidGroup.Duplicate" or found is None:
            raise
        group = found
    source = {"Ipv6Ranges": [{"CidrIpv6": ssh_from}]} if ":" in ssh_from else {"IpRanges": [{"CidrIp": ssh_from}]}
    rule: Any = {"IpProtocol": "tcp", "FromPort": _SSH, "ToPort": _SSH, **source}
    try:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    except ClientError as error:
        if code_of(error) != "InvalidPermission.Duplicate":
            raise
    return group


def _make(ec2: EC2Client, vpc: str, name: str, description: str, given: Mapping[str, str]) -> str:
    made = ec2.create_security_group(
        GroupName=name,
        Description=description,
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tag_list(given)}],
    )
    return made["GroupId"]


def _find(ec2: EC2Client, vpc: str, wanted: Mapping[str, str]) -> str | None:
    filters: list[Any] = [{"Name": "vpc-id", "Values": [vpc]}]
    filters += [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
    return next((group["GroupId"] for group in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]), None)


def _vpc(ec2: EC2Client, region: str) -> str:
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    found = default or ec2.describe_vpcs()["Vpcs"]
    if len(found) != 1:
        what = "no VPC" if not found else f"no default VPC but {len(found)} others"
        raise MissingError(f"{region} has {what}", hint="name a subnet: --subnet subnet-…; or `aws ec2 create-default-vpc`")
    return found[0]["VpcId"]


def _internet_gateways(ec2: EC2Client, vpc: str) -> Mapping[str, bool]:
    """Subnet → whether its default route is an internet gateway; `""` is the main table, for subnets without one of their own."""
    found: dict[str, bool] = {}
    pages = ec2.get_paginator("describe_route_tables").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    for table in (table for page in pages for table in page["RouteTables"]):
        is_open = _leads_to_gateway(table.get("Routes", []))
        for association in table.get("Associations", []):
            found["" if association.get("Main") else association.get("SubnetId", "")] = is_open
    return found


def _leads_to_gateway(routes: Sequence[Any]) -> bool:
    return any(route.get("DestinationCidrBlock") == "0.0.0.0/0" and str(route.get("GatewayId", "")).startswith("igw-") for route in routes)


def _is_open(subnet: str, gateways: Mapping[str, bool]) -> bool:
    return gateways.get(subnet, gateways.get("", False))


def _subnet(item: Any) -> Subnet:
    return Subnet(item["SubnetId"], item["AvailabilityZone"], item["VpcId"])
