"""Quotas of EC2: which one an instance type counts against, how large it is, and how to have it raised.

Instances are counted in vCPUs, by family and by on demand or spot. EC2 has no call that names a type's quota: the table is that of
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import QUOTA_CODES, code_of, failure
from goldbake.clouds.failure import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import InstanceTypeType

    from goldbake.clouds.aws.session import Aws


@dataclass(frozen=True)
class Quota:
    """One quota of Service Quotas; it is counted for each region."""

    code: str
    name: str
    service: str = "ec2"
    unit: str = "vCPUs"

    def increase(self, region: str, value: int) -> str:
        """The command that asks for more."""
        return (
            f"aws service-quotas request-service-quota-increase --region {region} --service-code {self.service}"
            f" --quota-code {self.code} --desired-value {value}"
        )

    def page(self, region: str) -> str:
        """The page of the console that asks for more."""
        return f"https://{region}.console.aws.amazon.com/servicequotas/home/services/{self.service}/quotas/{self.code}"


@dataclass(frozen=True)
class Quotas:
    """The two quotas of a family; `spot` is None where AWS publishes none."""

    on_demand: Quota
    spot: Quota | None


_STANDARD = Quotas(
    Quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    Quota("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
)
_G = Quotas(Quota("L-DB2E81BA", "Running On-Demand G and VT instances"), Quota("L-3819A6DF", "All G and VT Spot Instance Requests"))
_ON_DEMAND_P = Quota("L-417A185B", "Running On-Demand P instances")
_OLD_P = Quotas(_ON_DEMAND_P, Quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"))

FAMILIES: Mapping[str, Quotas] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), _STANDARD),
    **dict.fromkeys(("g", "gr", "vt"), _G),
    **dict.fromkeys(("p2", "p3", "p4"), _OLD_P),
    "p5": Quotas(_ON_DEMAND_P, Quota("L-C4BD4855", "All P5 Spot Instance Requests")),
    "p": Quotas(_ON_DEMAND_P, None),
    "f": Quotas(Quota("L-74FC7D96", "Running On-Demand F instances"), Quota("L-88CF9481", "All F Spot Instance Requests")),
    "x": Quotas(Quota("L-7295265B", "Running On-Demand X instances"), Quota("L-E3A00192", "All X Spot Instance Requests")),
    "inf": Quotas(Quota("L-1945791B", "Running On-Demand Inf instances"), Quota("L-B5D1601B", "All Inf Spot Instance Requests")),
    "trn": Quotas(Quota("L-2C3B7624", "Running On-Demand Trn instances"), Quota("L-6B0D517C", "All Trn Spot Instance Requests")),
    "dl": Quotas(Quota("L-6E869C2A", "Running On-Demand DL instances"), Quota("L-85EED4F7", "All DL Spot Instance Requests")),
    "hpc": Quotas(Quota("L-F7808C92", "Running On-Demand HPC instances"), None),
    "u": Quotas(Quota("L-43DA4232", "Running On-Demand High Memory instances"), None),
}
"""The letters at the beginning of a type, with its generation where that matters, → its quotas."""

OTHERS: Mapping[str, Quota] = {
    "VolumeLimitExceeded": Quota("L-7A658B76", "Storage for General Purpose SSD (gp3) volumes", "ebs", "TiB"),
    "Client.VolumeLimitExceeded": Quota("L-7A658B76", "Storage for General Purpose SSD (gp3) volumes", "ebs", "TiB"),
    "SnapshotLimitExceeded": Quota("L-309BACF6", "Snapshots per Region", "ebs", "snapshots"),
    "AddressLimitExceeded": Quota("L-0263D0A3", "EC2-VPC Elastic IPs", "ec2", "addresses"),
    "NetworkInterfaceLimitExceeded": Quota("L-DF5E4CA3", "Network interfaces per Region", "vpc", "interfaces"),
    "SecurityGroupLimitExceeded": Quota("L-E79EC296", "VPC security groups per Region", "vpc", "groups"),
}
"""What these codes count against, whatever the instance type."""

_OF_INSTANCES = frozenset({"VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"})


def quota_of(instance_type: str, *, spot: bool) -> Quota | None:
    """The quota that a type counts against; None when AWS publishes none for it."""
    name = re.match(r"([a-z]+)([0-9]*)", instance_type)
    if name is None:
        return None
    found = FAMILIES.get(name[1] + name[2]) or FAMILIES.get(name[1])
    return None if found is None else found.spot if spot else found.on_demand


def value_of(aws: Aws, quota: Quota, region: str) -> float:
    """How large a quota is now, in its unit; AWS's default where it was never changed. Raises Failure."""
    client = aws.quotas(region)
    try:
        try:
            return client.get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)["Quota"]["Value"]
        except ClientError as error:
            if code_of(error) != "NoSuchResourceException":
                raise
            return client.get_aws_default_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)["Quota"]["Value"]
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing=f"show the quota {quota.code}", region=region) from error


def processors(aws: Aws, region: str, types: Sequence[str]) -> dict[str, int]:
    """vCPUs of each of these types; one that the region does not have is left out. Raises Failure."""
    names = cast("list[InstanceTypeType]", list(types))
    try:  # by filter: asked by name, EC2 refuses all when it does not know one
        pages = aws.ec2(region).get_paginator("describe_instance_types").paginate(Filters=[{"Name": "instance-type", "Values": names}])
        return {found["InstanceType"]: found["VCpuInfo"]["DefaultVCpus"] for page in pages for found in page["InstanceTypes"]}
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing="describe instance types", region=region) from error


def explained(aws: Aws, refused: Failure, *, region: str, types: Sequence[str], spot: bool, count: int = 1) -> Failure:
    """The same failure with the quota's name, its present value, what is needed and the command that raises it.

    Any other failure comes back as it is. Where Service Quotas may not be asked, the failure says so; nothing is raised.
    """
    quota = OTHERS.get(refused.code)
    if refused.code in _OF_INSTANCES and types:
        quota = quota_of(types[0], spot=spot)
    if quota is None or refused.code not in QUOTA_CODES | set(OTHERS):
        return refused
    needs, need = "", 0
    if refused.code in _OF_INSTANCES:
        try:
            need = processors(aws, region, types[:1]).get(types[0], 0) * count
        except Failure:
            need = 0
        needs = f", and {count} × {types[0]} needs {need}" if need else ""
    try:
        value = value_of(aws, quota, region)
        state = f"is {value:g} {quota.unit} in {region}{needs}"
    except Failure as unknown:
        value = 0
        state = f"could not be read ({unknown.code}){needs}"
    wanted = int(value) + max(need, 1)
    return Failure(
        refused.scope,
        refused.code,
        f"{refused.message}; the quota “{quota.name}” ({quota.code}) {state}",
        hint=f"`{quota.increase(region, wanted)}`, or {quota.page(region)}; others are counted for each region: try another --region",
        exit_code=refused.exit_code,
    )
