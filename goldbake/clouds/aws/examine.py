"""The rows of `doctor` about AWS: who this is, what may be done, quotas, types, network, base images. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from goldbake import proc
from goldbake.clouds.aws import permissions, quotas
from goldbake.clouds.aws.errors import failure
from goldbake.clouds.aws.session import Aws
from goldbake.clouds.examine import Look, Region, clock, refused, taken
from goldbake.clouds.failure import Failure
from goldbake.config import base_images
from goldbake.config.model import Os
from goldbake.errors import MissingError
from goldbake.finding import Finding

_PLUGIN = "session-manager-plugin"
_PLUGIN_PAGE = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"


@dataclass(frozen=True)
class Bake:
    """A bake that images.yaml describes."""

    region: str
    instance_type: str
    os: Os
    network: str = ""
    """Its subnet or VPC; empty: the default VPC."""
    session_manager: bool = False


_Region = Region[str, Bake]


def examine(
    regions: Sequence[str],
    types: Sequence[str],
    *,
    bakes: Sequence[Bake] = (),
    strict: bool = False,
    aws: Aws | None = None,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    """Look at the account of these credentials in `regions` (of launches) and in those of `bakes`.

    `types` are those of launches; with `strict` each must be possible, else one of them is enough. Asks AWS, changes nothing.
    """
    return list(_rows(regions, types, bakes, strict, aws, now))


def _rows(
    regions: Sequence[str], types: Sequence[str], bakes: Sequence[Bake], strict: bool, given: Aws | None, now: Callable[[], float]
) -> Iterator[Finding]:
    try:
        aws = given or Aws()
    except MissingError as error:
        yield refused("AWS", error)
        return
    wanted = tuple(dict.fromkeys([*regions, *(bake.region for bake in bakes)])) or ((aws.region,) if aws.region else ())
    if not wanted:
        yield Finding("AWS region", "none is said", "--region, AWS_REGION, or `aws configure set region us-east-1`")
        return
    ask = next((name for name in wanted if aws.knows(name)), aws.region if aws.knows(aws.region) else "us-east-1")
    rows, enabled = _identity(aws, ask, now)
    yield from rows
    if not enabled:
        return
    if any(bake.session_manager for bake in bakes):
        found = proc.find(_PLUGIN)
        yield Finding(_PLUGIN, str(found)) if found else Finding(_PLUGIN, "missing", f"install it: {_PLUGIN_PAGE}")
    looks: list[Look] = []
    for name in wanted:
        if name not in enabled:
            close = ", ".join(region for region in enabled if region.split("-")[0] == name.split("-")[0]) or ", ".join(enabled)
            fix = f"one of {close}; others are enabled at https://console.aws.amazon.com/billing/home#/account"
            yield Finding("AWS region", f"{name} does not exist, or is not enabled for this account", fix)
            continue
        looks += _looks(aws, _Region.of(name, regions, types, bakes, strict=strict), first=not looks)
    yield from taken(looks)


def _looks(aws: Aws, here: _Region, *, first: bool) -> Iterator[Look]:
    """What is looked at in a region. Permissions are the account's, and tried in the first one."""
    kind = next(iter([*here.types, *(bake.instance_type for bake in here.bakes)]), "t3.micro")
    if first:
        yield (
            f"permissions {here.name}",
            lambda: permissions.examine(aws, here.name, image=_some_base(aws, here), instance_type=kind, vpc=""),
        )
    yield f"network {here.name}", lambda: _network(aws, here)
    yield f"base image {here.name}", lambda: _base_images(aws, here)
    yield f"types {here.name}", lambda: _offerings(aws, here)
    yield f"quotas {here.name}", lambda: _quotas(aws, here)


def _identity(aws: Aws, region: str, now: Callable[[], float]) -> tuple[list[Finding], tuple[str, ...]]:
    """Rows about who this is and about the clock, and the regions of the account; none when it cannot be asked further."""
    try:
        who = aws.sts(region, once=True).get_caller_identity()
        rows = [Finding("AWS credentials", f"{who['Arn']} in account {who['Account']}")]
        rows += clock("AWS", who["ResponseMetadata"]["HTTPHeaders"].get("date", ""), now())
        return rows, aws.regions(region, once=True)
    except ClientError as error:
        # A wrong clock is a common reason of a signature that is not accepted: the answer has AWS's time.
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        wrong = [row for row in clock("AWS", headers.get("date", ""), now()) if not row.good]
        return [refused("AWS", failure(error, doing="say who this is", region=region)), *wrong], ()
    except BotoCoreError as error:
        return [refused("AWS", failure(error, doing="say who this is", region=region))], ()
    except Failure as error:
        return [*rows, refused("AWS", error)], ()


def _network(aws: Aws, here: _Region) -> Iterator[Finding]:
    try:
        found = aws.ec2(here.name).describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing="list VPCs", region=here.name) from error
    needed = any(not bake.network for bake in here.bakes) or not here.bakes
    fix = (
        f"`aws ec2 create-default-vpc --region {here.name}`, or name a network: aws.subnet in images.yaml for bakes, --subnet for launches"
    )
    state = found[0]["VpcId"] if found else "none"
    yield Finding(f"default VPC {here.name}", state, "" if found else fix, required=needed)


def _base_images(aws: Aws, here: _Region) -> Iterator[Finding]:
    for system in sorted({bake.os for bake in here.bakes}):
        name = _newest_base(aws, here.name, system)
        base = base_images.AWS[system]
        fix = f"another region, or another os in images.yaml: account {base.owner} has no {base.name} here"
        yield Finding(f"base image {here.name}", f"{system}: {name or 'none'}", "" if name else fix)


def _some_base(aws: Aws, here: _Region) -> str:
    """An AMI to try permissions with: permissions by image are rare, but a real one is nearest to what will be asked."""
    try:
        return next((name for bake in here.bakes if (name := _newest_base(aws, here.name, bake.os))), "")
    except Failure:
        return ""


def _newest_base(aws: Aws, region: str, system: Os) -> str:
    base = base_images.AWS[system]
    filters: list[Any] = [{"Name": "name", "Values": [base.name]}, {"Name": "architecture", "Values": ["x86_64"]}]
    try:
        found = aws.ec2(region).describe_images(Owners=[base.owner], Filters=filters)["Images"]
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing="list base images", region=region) from error
    return max(found, key=lambda image: image.get("CreationDate", ""), default={"ImageId": ""})["ImageId"]


def _offerings(aws: Aws, here: _Region) -> Iterator[Finding]:
    names = list(dict.fromkeys([*here.types, *(bake.instance_type for bake in here.bakes)]))
    zones: dict[str, set[str]] = {name: set() for name in names}
    if not names:
        return
    try:
        pages = aws.ec2(here.name).get_paginator("describe_instance_type_offerings")
        asked = pages.paginate(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": names}])
        for offer in (offer for page in asked for offer in page["InstanceTypeOfferings"]):
            zones.setdefault(offer["InstanceType"], set()).add(offer["Location"])
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing="list where types are offered", region=here.name) from error
    some = any(zones[name] for name in here.types)
    for name in names:
        for_bake = any(bake.instance_type == name for bake in here.bakes)
        fix = "" if zones[name] else "another type, or another region: `aws ec2 describe-instance-type-offerings` lists them"
        state = f"{name}: {', '.join(sorted(zones[name])) or 'in no zone'}"
        yield Finding(f"type {here.name}", state, fix, required=for_bake or here.strict or not some)


def _quotas(aws: Aws, here: _Region) -> Iterator[Finding]:
    builds = tuple(dict.fromkeys(bake.instance_type for bake in here.bakes))
    need = quotas.processors(aws, here.name, [*dict.fromkeys([*here.types, *builds])])
    rows = []
    enough = False
    for spot in (False, True):
        for quota, names in _by_quota(here.types if spot else [*here.types, *builds], spot=spot).items():
            least = min((need[name] for name in names if name in need), default=1)
            smallest = next((name for name in names if need.get(name) == least), names[0])
            row, value = _quota(aws, here.name, quota, f"{smallest} needs {least}", least)
            of_launch = any(name in here.types for name in names)
            enough = enough or (of_launch and not spot and (value is None or value >= least))
            rows.append((row, spot, any(name in builds for name in names)))
    for row, spot, for_bake in rows:
        required = row.required and not spot and (for_bake or here.strict or not enough)
        yield Finding(row.what, row.state, row.fix, required=required)


def _quota(aws: Aws, region: str, quota: quotas.Quota, needs: str, least: int) -> tuple[Finding, float | None]:
    what = f"quota {region}"
    try:
        value = quotas.value_of(aws, quota, region)
    except Failure as error:
        return Finding(what, f"{quota.name} ({quota.code}): cannot be read ({error.code})", error.hint, required=False), None
    state = f"{quota.name} ({quota.code}): {value:g} {quota.unit}; {needs}"
    fix = "" if value >= least else f"`{quota.increase(region, least)}`, or {quota.page(region)}"
    return Finding(what, state, fix), value


def _by_quota(types: Iterable[str], *, spot: bool) -> Mapping[quotas.Quota, list[str]]:
    found: dict[quotas.Quota, list[str]] = {}
    for name in types:
        quota = quotas.quota_of(name, spot=spot)
        if quota is not None and name not in found.setdefault(quota, []):
            found[quota].append(name)
    return found
