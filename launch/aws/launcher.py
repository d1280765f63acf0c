"""The instance side of EC2: one instance by RunInstances in the first zone that takes it, several by an instant EC2 Fleet of each region.

Whatever is made carries the launch's tags from its own create call, and is found by them: in the regions that the journal names, or else
in all regions of the account.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import code_of, failure
from goldbake.clouds.aws.quotas import explained
from goldbake.clouds.aws.resources import INSTANCE, is_gone, tag_list, tags_of
from goldbake.clouds.aws.session import Aws
from goldbake.clouds.aws.types import default_types
from goldbake.clouds.failure import Failure, worst
from goldbake.config import base_images
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, UsageError
from goldbake.log import Progress
from launch.aws import answer as answers
from launch.aws import listing, removal
from launch.aws import request as requests
from launch.aws.network import Groups
from launch.aws.request import Ground
from launch.aws.survey import regions, survey
from launch.aws.watch import ConsoleReader, died
from launch.base import REGIONS, CloudOptions, Created, Instance, LaunchSpec, PartlySeen, Place, Resource
from launch.journal import launch_of
from launch.observe import Consoles, Deaths, Seen
from launch.side_by_side import in_each

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

T = TypeVar("T")

_FIRST_REGION = "us-east-1"
"""Asked for the list of regions when neither AWS_REGION nor the profile names one."""
_AT_ONCE = 32
_CLOSED = frozenset({"UnauthorizedOperation", "AuthFailure", "OptInRequired", "AccessDenied"})
"""A region in which an organization's policy forbids everything holds nothing of ours either."""
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")


class AwsLauncher:
    """A `launch.base.Launcher`. `regions_of` says where a launch may have instances, as its journal remembers; empty: it does not know."""

    cloud = Cloud.AWS
    shared = True
    poll_s = 2.0
    removal_s = 900.0
    """An instance with several GPUs takes minutes to end, and holds its interface and group until then."""
    batch = 1000
    """What RunInstances takes by default (EC2 user guide: launch quotas); an instant fleet takes 10,000."""

    def __init__(
        self,
        options: CloudOptions,
        *,
        regions_of: Callable[[str], Sequence[str]] = lambda _: (),
        aws: Aws | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._aws = aws or Aws()
        self._regions_of = regions_of
        self._grounds: dict[str, Ground] = {}
        self._types: tuple[str, ...] = options.types
        self._groups = Groups()
        self._answered: dict[tuple[tuple[int, ...], Place], int] = {}
        self._used: dict[str, tuple[str, ...]] = {}
        self._enabled: tuple[str, ...] = ()
        self._deaths = Deaths(self._states, died, clock)
        self._consoles = Consoles(ConsoleReader(lambda instance: self._aws.ec2(_region(instance))), clock)
        self._mutex = threading.Lock()
        self._progress: Progress | None = None

    def seen_from_inside(self, organization: str) -> str:
        return organization

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        self._progress = progress
        if not self._types:
            self._types = default_types(spec.described.gpus if spec.described else ())
            progress.info(
                f"instance type {self._types[0]}: the cheapest with a GPU that {spec.image} works on (--instance-type names others)"
            )
        wanted = regions(spec, self._options)
        found = dict(self._over(wanted, lambda ec2, region: survey(ec2, region, spec, self._options, self._types)))
        unfit = {region: error for region, error in found.items() if isinstance(error, GoldbakeError)}
        self._grounds = {region: ground for region, ground in found.items() if isinstance(ground, Ground)}
        if not self._grounds:
            raise next(iter(unfit.values()))
        for error in unfit.values():
            progress.warn(error.message)
        missing = sorted(set(self._options.zones) - {zone for ground in self._grounds.values() for zone in ground.offered})
        if missing:
            raise UsageError(
                f"--zone {missing[0]} is not a zone of {', '.join(self._grounds)} that offers {' or '.join(self._types)} and has a fitting subnet",
                hint="zones: " + ", ".join(sorted(zone for ground in self._grounds.values() for zone in ground.offered)),
            )
        self._used[spec.launch_id] = tuple(self._grounds)
        for region, ground in self._grounds.items():
            progress.detail("places", f"{region}: {', '.join(self._zones(ground))}")

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        return [
            Place(region, zone, spot)
            for spot in self._options.market.spot
            for region, ground in self._grounds.items()
            for zone in (("",) if self._is_fleet(spec) else self._zones(ground))
        ]

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        return {REGIONS: ",".join(self._grounds)}

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        ground = self._grounds[place.region]
        group = self._groups.id(self._aws.ec2(place.region), place.region, ground.vpc, spec, self._options.ssh_from)
        if self._is_fleet(spec):
            return self._fleet(spec, numbers, place, ground, group)
        request = requests.run_instances(spec, self._options, ground, group, place, self._types[0], requests.token(spec, numbers, place, 0))
        try:
            answer = self._aws.ec2(place.region, once=True).run_instances(**request)
        except (BotoCoreError, ClientError) as error:
            raise self._noticed(failure(error, doing=f"start a {self._types[0]}", region=place.region), ground, place, 1) from error
        made = [listing.instance(item, place.region, number) for item, number in zip(answer["Instances"], numbers, strict=False)]
        return Created(tuple(self._with_reach(spec, instance) for instance in made))

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        return _whole(*self._look(launch_id, lambda ec2, region: list(listing.resources(ec2, region, launch_id))))

    def delete(self, resources: Sequence[Resource]) -> None:
        by_region: dict[str, list[Resource]] = {}
        for resource in resources:
            by_region.setdefault(resource.place, []).append(resource)
        found = self._over(list(by_region), lambda ec2, region: removal.remove(ec2, region, by_region[region]))
        problems: list[Failure] = []
        for _, result in found:
            if isinstance(result, list):
                problems += result
            elif isinstance(result, Failure):
                problems.append(result)
        if problems:
            raise worst(problems)

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        found, unseen = self._look(launch_id, lambda ec2, region: list(self._living(ec2, region, launch_id)))
        numbered: dict[str, int] = {}
        result = []
        for item, region in sorted(found, key=lambda pair: _age(pair[0])):
            launch = launch_of(tags_of(item))
            numbered[launch] = numbered.get(launch, 0) + 1
            result.append(listing.instance(item, region, numbered[launch]))
        return _whole(result, unseen)

    def console(self, instance: Instance) -> str:
        return self._consoles.read(instance)

    def death(self, instance: Instance) -> Failure | None:
        return self._deaths.of(instance)

    def seal(self, instance: Instance) -> str:
        region = _region(instance)
        try:
            self._aws.ec2(region).modify_instance_metadata_options(InstanceId=instance.id, HttpEndpoint="disabled")
        except (BotoCoreError, ClientError) as error:
            why = failure(error, doing=f"switch off the metadata service of {instance.id}", region=region)
            return (
                f"{why.message}: its user-data, which holds the PAT, stays readable for programs on it that get past first boot's firewall"
            )
        return ""

    def _zones(self, ground: Ground) -> list[str]:
        """The zones of a region, as the person ordered them, or by name."""
        return [zone for zone in self._options.zones if zone in ground.offered] or sorted(ground.offered)

    def _is_fleet(self, spec: LaunchSpec) -> bool:
        return spec.count > 1 or len(self._types) > 1

    def _fleet(self, spec: LaunchSpec, numbers: Sequence[int], place: Place, ground: Ground, group: str) -> Created:
        key = (tuple(numbers), place)
        client_token = requests.token(spec, numbers, place, self._answered.get(key, 0))
        name = f"goldbake-{spec.launch_id}-{client_token[:12]}"
        doing = f"start {len(numbers)} × {' or '.join(self._types)}"
        ec2 = self._aws.ec2(place.region, once=True)
        try:
            with self._template(requests.launch_template(spec, self._options, ground, group, place, name), place.region):
                answer = ec2.create_fleet(**requests.create_fleet(spec, self._types, ground, place, name, len(numbers), client_token))
        except (BotoCoreError, ClientError) as error:
            raise self._noticed(failure(error, doing=doing, region=place.region), ground, place, len(numbers)) from error
        found = list(answers.started(answer))
        missing = answers.shortage(answer, ground, self._types, len(numbers))
        if missing is not None:
            missing = self._noticed(missing, ground, place, len(numbers))
        if not found and missing is not None:
            self._answered[key] = self._answered.get(key, 0) + 1
            raise missing
        return Created(self._described(spec, numbers, found, place, ground), missing)

    @contextmanager
    def _template(self, request: dict[str, Any], region: str) -> Iterator[None]:
        """A launch template for one call. One that cannot be deleted is named, and goes with the launch: it has its tags."""
        ec2, name = self._aws.ec2(region), request["LaunchTemplateName"]
        try:
            try:
                ec2.create_launch_template(**request)
            except ClientError as error:
                if code_of(error) != "InvalidLaunchTemplateName.AlreadyExistsException":
                    raise  # else the call before this one made it, and did not get our answer
            yield
        finally:
            try:
                ec2.delete_launch_template(LaunchTemplateName=name)
            except (BotoCoreError, ClientError) as error:
                if not is_gone(error) and self._progress is not None:
                    self._progress.warn(
                        f"{failure(error, doing=f'delete the launch template {name}', region=region).message}; destroy will"
                    )

    def _described(
        self, spec: LaunchSpec, numbers: Sequence[int], found: Sequence[tuple[str, str, str]], place: Place, ground: Ground
    ) -> tuple[Instance, ...]:
        """Instances of a fleet, whose answer has only their ids; what EC2 does not show yet is made up from the answer."""
        try:
            shown = {item["InstanceId"]: item for item in listing.instances(self._aws.ec2(place.region), place.region, spec.launch_id)}
        except (BotoCoreError, ClientError):
            shown = {}  # they run: what is not known now is known later
        zones = {subnet.id: subnet.zone for subnet in ground.subnets}
        made = []
        for number, (name, kind, subnet) in zip(numbers, found, strict=False):
            item = shown.get(name) or {
                "InstanceId": name,
                "InstanceType": kind,
                "LaunchTime": datetime.now(UTC),
                "Placement": {"AvailabilityZone": zones.get(subnet, "")},
                "InstanceLifecycle": "spot" if place.spot else "",
                "Tags": tag_list(spec.tags()),
                "State": {"Name": "pending"},
            }
            made.append(self._with_reach(spec, listing.instance(item, place.region, number)))
        return tuple(made)

    def _with_reach(self, spec: LaunchSpec, instance: Instance) -> Instance:
        """Somebody gets in only with a key, a port that is open for him, and an address."""
        if not (self._options.key and self._options.ssh_from and instance.address):
            return instance
        user = f"{base_images.AWS[spec.described.os].user}@" if spec.described else ""
        return replace(instance, reach=f"ssh {user}{instance.address}")

    def _noticed(self, found: Failure, ground: Ground, place: Place, count: int) -> Failure:
        """The failure with what is known about its cause; a quota is named with its value."""
        if found.code.startswith("InvalidGroup"):
            self._groups.forget(ground.vpc)
        return explained(self._aws, found, region=place.region, types=self._types, spot=place.spot, count=count)

    def _living(self, ec2: EC2Client, region: str, launch_id: str | None) -> Iterator[tuple[Any, str]]:
        for item in listing.instances(ec2, region, launch_id):
            if item["State"]["Name"] not in INSTANCE.gone:
                yield item, region

    def _states(self, launch_id: str) -> Iterable[tuple[str, Seen]]:
        return _whole(*self._look(launch_id, lambda ec2, region: [_seen(item) for item in listing.instances(ec2, region, launch_id)]))

    def _look(self, launch_id: str | None, work: Callable[[EC2Client, str], list[T]]) -> tuple[list[T], list[Failure]]:
        """Ask the regions of a launch; all regions when they are not known. What they have, and why some could not be asked.

        Raises Failure where none could.
        """
        known = (self._used.get(launch_id) or tuple(self._regions_of(launch_id))) if launch_id else ()
        asked = self._over(known or self._all_regions(), work)
        found = [one for _, result in asked if not isinstance(result, GoldbakeError) for one in result]
        problems = [result for _, result in asked if isinstance(result, GoldbakeError)]
        unseen = []
        for problem in problems:
            if len(problems) == len(asked) or not isinstance(problem, Failure):
                raise problem
            if known or problem.code not in _CLOSED:
                unseen.append(problem)
        return found, unseen

    def _all_regions(self) -> tuple[str, ...]:
        with self._mutex:
            if not self._enabled:
                self._enabled = self._aws.regions(self._aws.region or _FIRST_REGION)
            return self._enabled

    def _over(self, regions: Sequence[str], work: Callable[[EC2Client, str], T]) -> list[tuple[str, T | GoldbakeError]]:
        """The same work in several regions at once; a region's error is its result."""

        def one(region: str) -> T:
            try:
                return work(self._aws.ec2(region), region)
            except (BotoCoreError, ClientError) as error:
                raise failure(error, doing="say what is there", region=region) from error

        return in_each(regions, one, at_once=_AT_ONCE)


def _whole(found: list[T], unseen: Sequence[Failure]) -> list[T]:
    """What was found, unless a region was not seen: a launch, too, may have something in each. Raises PartlySeen."""
    if unseen:
        raise PartlySeen(unseen, found)
    return found


def _region(instance: Instance) -> str:
    found = _REGION.match(instance.place)
    return found[0] if found else ""


def _age(item: Any) -> tuple[float, str]:
    return item["LaunchTime"].timestamp(), item["InstanceId"]


def _seen(item: Any) -> tuple[str, Seen]:
    reason = item.get("StateReason") or {}
    return item["InstanceId"], Seen(item["State"]["Name"], reason.get("Code", ""), reason.get("Message", ""))
