"""The instance side of Compute Engine: one instance by instances.insert in the first zone that takes it, several by a regional bulkInsert.

Whatever is made carries the launch's labels from its own create call, and is found by them in all zones at once: in the project that the
journal names, or else in the own one and in those of other launches from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope, worst
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.offers import offers, zones
from goldbake.clouds.gcp.operations import UNFINISHED, chief, ended, failures
from goldbake.clouds.gcp.quotas import explained
from goldbake.clouds.gcp.resources import EXISTS, INSTANCE, delete, is_gone
from goldbake.clouds.gcp.session import Gcp
from goldbake.clouds.gcp.types import MachineType, default_types, machine_type
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, UsageError
from goldbake.log import Progress
from launch.base import ACCOUNT, REGIONS, CloudOptions, Created, Instance, LaunchSpec, Place, Resource
from launch.gcp import answer as answers
from launch.gcp import listing, removal
from launch.gcp import request as requests
from launch.gcp.metadata import remove_user_data
from launch.gcp.network import Doors
from launch.gcp.projects import Projects
from launch.gcp.request import Ground
from launch.gcp.survey import image, regions, survey
from launch.gcp.watch import ConsoleReader, died, reason
from launch.observe import GONE, Consoles, Deaths, Seen
from launch.side_by_side import in_each

T = TypeVar("T")

_AT_ONCE = 8
_CREATE_S = 900.0
"""Longest wait for a create call's operation; one that finds no machine ends within minutes."""


class GcpLauncher:
    """A `launch.base.Launcher`. `remembered` gives what the journal of a launch remembers, `accounts` the projects that journals name."""

    cloud = Cloud.GCP
    shared = True
    poll_s = 2.0
    removal_s = 900.0
    """An instance with several GPUs takes minutes to end, and holds its disk until then."""
    batch = 1000
    """A bulkInsert takes 5000 (https://cloud.google.com/compute/docs/instances/multiple/about-bulk-creation: limitations), a launch has 1000."""

    def __init__(
        self,
        options: CloudOptions,
        *,
        remembered: Callable[[str], Mapping[str, str]] = lambda _: {},
        accounts: Callable[[], Sequence[str]] = lambda: (),
        gcp: Gcp | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._gcp = gcp or Gcp()
        self._now = now
        self._grounds: dict[str, Ground] = {}
        self._types: tuple[MachineType, ...] = tuple(machine_type(text) for text in options.types)
        self._doors = Doors()
        self._answered: dict[tuple[tuple[int, ...], Place], int] = {}
        self._runs: dict[str, int] = {}
        self._projects = Projects(self._gcp, remembered, accounts)
        self._asked = removal.Asked(clock)
        self._deaths = Deaths(self._states, self._died, clock)
        self._consoles = Consoles(ConsoleReader(lambda instance: self._projects.home(instance.launch_id)), clock)
        self._mutex = threading.Lock()

    def seen_from_inside(self, organization: str) -> str:
        return organization

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        if not self._types:
            self._types = tuple(machine_type(text) for text in default_types(spec.described.gpus if spec.described else ()))
            progress.info(
                f"instance type {self._types[0]}: the cheapest with a GPU that {spec.image} works on (--instance-type names others)"
            )
        wanted = regions(spec, self._options)
        try:
            found, there, offered = image(self._gcp, spec), zones(self._gcp), offers(self._gcp, self._types)
        except RAISED as error:
            raise failure(error, doing="say what is there", place="global") from error
        requests.require_sense(spec, self._options, found, self._now())
        grounds = self._over(
            wanted, lambda region: survey(self._gcp, region, self._options, self._types, image=found, zones=there, offers=offered)
        )
        unfit = [problem for _, problem in grounds if isinstance(problem, GoldbakeError)]
        self._grounds = {region: ground for region, ground in grounds if isinstance(ground, Ground)}
        if not self._grounds:
            raise unfit[0]
        for problem in unfit:
            progress.warn(problem.message)
        missing = sorted(set(self._options.zones) - {zone for ground in self._grounds.values() for zone in ground.offered})
        if missing:
            raise UsageError(
                f"--zone {missing[0]} is not a zone of {', '.join(self._grounds)} that offers {' or '.join(map(str, self._types))}",
                hint="zones: " + ", ".join(sorted(zone for zone in offered if zone.rpartition("-")[0] in self._grounds)),
            )
        if self._options.ssh_from and len(networks := {ground.subnet.network for ground in self._grounds.values()}) > 1:
            raise UsageError(
                f"--ssh-from opens one network, and the regions have {len(networks)}: {', '.join(sorted(networks))}",
                hint="name regions of one network with --region",
            )
        self._projects.found([spec.launch_id], self._gcp.project)
        for region, ground in self._grounds.items():
            progress.detail("places", f"{region}: {', '.join(self._zones(ground))}")

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        return [
            Place(region, zone, spot, str(kind) if len(self._types) > 1 else "")
            for spot in self._options.market.spot
            for region, ground in self._grounds.items()
            for kind in self._types
            if any(kind in types for types in ground.offered.values())
            for zone in (("",) if self._is_bulk(spec) else [zone for zone in self._zones(ground) if kind in ground.offered[zone]])
        ]

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        return {ACCOUNT: self._gcp.project, REGIONS: ",".join(self._grounds)}

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        ground = self._grounds[place.region]
        if self._options.ssh_from:
            self._doors.open(self._gcp, requests.firewall(spec, ground.subnet.network, self._options.ssh_from))
        if self._is_bulk(spec):
            return self._bulk(spec, numbers, place, ground)
        kind, (number, *_) = self._kind(place), numbers
        doing = f"start 1 × {kind}"
        token = self._token(spec, numbers, place)
        body = requests.instance(spec, self._options, ground, place, kind, number, self._run_s(spec, token))
        request = {"project": self._gcp.project, "zone": place.zone, "instance_resource": body, "request_id": token}
        try:
            operation = self._gcp.client(compute_v1.InstancesClient).insert_unary(request=request)
        except RAISED as error:
            found = failure(error, doing=doing, place=place.zone)
            if found.code not in EXISTS:
                raise self._noticed(found, place, 1) from error
            return self._adopted(spec, number, place, found)
        try:
            done = ended(self._gcp, operation, doing=doing, patience=_CREATE_S)
        except Failure as found:
            if found.code == UNFINISHED:
                self._abandon(requests.name(spec, number), place.zone)
            raise
        if problems := failures(done, doing=doing):
            self._was_answered(numbers, place)
            raise self._noticed(chief(problems), place, 1)
        return Created((self._one(spec, number, place),))

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        return self._projects.look(launch_id, lambda gcp: list(listing.resources(gcp, launch_id, self._asked.now())))

    def delete(self, resources: Sequence[Resource]) -> None:
        of_launch: dict[str, list[Resource]] = {}
        for resource in resources:
            of_launch.setdefault(resource.launch_id, []).append(resource)
        problems: list[Failure] = []
        for launch_id, doomed in of_launch.items():
            problems += removal.remove(self._projects.home(launch_id), doomed, self._asked)
        if problems:
            raise worst(problems)

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        found = self._projects.look(launch_id, lambda gcp: [listing.instance(item) for item in listing.instances(gcp, launch_id)])
        return sorted(found, key=lambda one: (one.created, one.launch_id, one.number))

    def console(self, instance: Instance) -> str:
        return self._consoles.read(instance)

    def death(self, instance: Instance) -> Failure | None:
        return self._deaths.of(instance)

    def seal(self, instance: Instance) -> str:
        try:
            remove_user_data(self._projects.home(instance.launch_id), instance)
        except Failure as why:
            return f"{why.message}: it holds the PAT, and stays readable for whoever may read the project's instances"
        return ""

    def _kind(self, place: Place) -> MachineType:
        return machine_type(place.kind) if place.kind else self._types[0]

    def _zones(self, ground: Ground) -> list[str]:
        """The zones of a region, as the person ordered them, or by name."""
        return [zone for zone in self._options.zones if zone in ground.offered] or sorted(ground.offered)

    def _is_bulk(self, spec: LaunchSpec) -> bool:
        return spec.count > 1

    def _run_s(self, spec: LaunchSpec, token: str) -> int:
        """How many seconds an instance may run that starts now: those of the first call with this request id, whose repetition is the same request."""
        return self._runs.setdefault(token, max(int(spec.expires - self._now()), requests.RUN_S[0]))

    def _token(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> str:
        return requests.token(spec, numbers, place, self._answered.get((tuple(numbers), place), 0))

    def _was_answered(self, numbers: Sequence[int], place: Place) -> None:
        key = (tuple(numbers), place)
        self._answered[key] = self._answered.get(key, 0) + 1

    def _bulk(self, spec: LaunchSpec, numbers: Sequence[int], place: Place, ground: Ground) -> Created:
        kind = self._kind(place)
        doing = f"start {len(numbers)} × {kind}"
        token = self._token(spec, numbers, place)
        body = requests.bulk(spec, self._options, ground, place, kind, numbers, self._run_s(spec, token))
        try:
            operation = self._gcp.client(compute_v1.RegionInstancesClient).bulk_insert_unary(
                request={
                    "project": self._gcp.project,
                    "region": place.region,
                    "bulk_insert_instance_resource_resource": body,
                    "request_id": token,
                }
            )
        except RAISED as error:
            found = failure(error, doing=doing, place=place.region)
            made = self._made(spec, numbers, compute_v1.Operation(), place, doing)[0] if found.code in EXISTS else ()
            if not made:
                raise self._noticed(found, place, len(numbers)) from error
            return Created(made, _passing(found))
        try:
            done = ended(self._gcp, operation, doing=doing, patience=_CREATE_S)
        except Failure as late:
            made, _ = self._made(spec, numbers, operation, place, doing) if late.code == UNFINISHED else ((), None)
            if not made:
                raise
            return Created(made, late)
        made, missing = self._made(spec, numbers, done, place, doing)
        if missing is not None:
            self._was_answered(numbers, place)
            missing = self._noticed(missing, place, len(numbers) - len(made))
            if not made:
                raise missing
        return Created(made, missing)

    def _made(
        self, spec: LaunchSpec, numbers: Sequence[int], done: compute_v1.Operation, place: Place, doing: str
    ) -> tuple[tuple[Instance, ...], Failure | None]:
        """The instances that a bulkInsert has made, and why they are fewer than was asked for. Raises Failure."""
        names = {requests.name(spec, number): number for number in numbers}
        try:
            shown = answers.started(done, list(listing.instances(self._gcp, spec.launch_id)), list(names))
            found = {item.name: listing.instance(item) for item in shown}
        except RAISED as error:
            raise failure(error, doing="look at what was started", place=place.region) from error
        parts = answers.parts(self._gcp, done) if len(found) < len(names) and not answers.says_why(done) else []
        for name, zone in answers.unseen(done, parts, names.keys() - found.keys()).items():
            found[name] = self._made_up(spec, names[name], replace(place, zone=zone))
        missing = answers.shortage(done, parts, doing=doing, region=place.region, found=len(found), wanted=len(names))
        return tuple(self._with_reach(found[name]) for name in names if name in found), missing

    def _noticed(self, found: Failure, place: Place, count: int) -> Failure:
        """The failure with what is known about its cause; a quota is named with its value."""
        return explained(self._gcp, found, region=place.region, types=[str(self._kind(place))], spot=place.spot, count=count)

    def _adopted(self, spec: LaunchSpec, number: int, place: Place, found: Failure) -> Created:
        """There is one of this name: ours, from a call whose answer we did not get, or one that is just being taken back."""
        item = self._get(spec, number, place)
        if item is not None and item.status in answers.LIVING and listing.instance(item).launch_id == spec.launch_id:
            return Created((self._with_reach(listing.instance(item)),))
        raise _passing(found)

    def _abandon(self, name: str, zone: str) -> None:
        """What may come up after we have stopped waiting for it is not wanted any more; if this fails, destroy finds it."""
        try:
            delete(self._gcp, INSTANCE, name, zone)
        except RAISED:
            return

    def _one(self, spec: LaunchSpec, number: int, place: Place) -> Instance:
        """The instance that instances.insert has made, as Compute Engine shows it. Raises Failure, for one that has ended since with its reason."""
        item = self._get(spec, number, place)
        if item is not None:
            return self._with_reach(listing.instance(item))
        unseen = self._made_up(spec, number, place)
        seen = reason(self._gcp, unseen, Seen(GONE))
        if seen.code and (end := died(unseen, seen)):
            raise end
        return unseen

    def _get(self, spec: LaunchSpec, number: int, place: Place) -> compute_v1.Instance | None:
        """An instance as Compute Engine shows it; None while it does not. Raises Failure."""
        name = requests.name(spec, number)
        try:
            return self._gcp.client(compute_v1.InstancesClient).get(project=self._gcp.project, zone=place.zone, instance=name)
        except RAISED as error:
            if is_gone(error):
                return None
            raise failure(error, doing=f"look at {name}", place=place.zone) from error

    def _made_up(self, spec: LaunchSpec, number: int, place: Place) -> Instance:
        """An instance that was made and that Compute Engine does not show yet."""
        where = place.zone + (" (spot)" if place.spot else "")
        return Instance(
            Cloud.GCP, spec.launch_id, number, requests.name(spec, number), spec.image, where, self._now(), spec.expires,
            kind=str(self._kind(place)), state="provisioning",
        )  # fmt: skip

    def _with_reach(self, instance: Instance) -> Instance:
        """Somebody gets in only with a key, a port that is open for him, and an address."""
        if not (self._options.key and self._options.ssh_from and instance.address):
            return instance
        return replace(instance, reach=f"ssh {requests.USER}@{instance.address}")

    def _states(self, launch_id: str) -> Iterable[tuple[str, Seen]]:
        try:
            return [(item.name, Seen(item.status)) for item in listing.instances(self._projects.home(launch_id), launch_id)]
        except RAISED as error:
            raise failure(error, doing=f"say what runs of launch {launch_id}", place="global") from error

    def _died(self, instance: Instance, seen: Seen) -> Failure | None:
        if seen.state in answers.LIVING:
            return None
        return died(instance, reason(self._projects.home(instance.launch_id), instance, seen))

    def _over(self, wanted: Sequence[str], work: Callable[[str], T]) -> list[tuple[str, T | GoldbakeError]]:
        """The same work for several regions at once; a region's error is its result."""

        def one(region: str) -> T:
            try:
                return work(region)
            except RAISED as error:
                raise failure(error, doing="say what is there", place=region) from error

        return in_each(wanted, one, at_once=_AT_ONCE)


def _passing(found: Failure) -> Failure:
    """The same failure, as one that may pass."""
    return Failure(Scope.RETRY, found.code, found.message, hint=found.hint, exit_code=found.exit_code)
