"""The instance side of Azure: one VM in the first zone that takes it, several by a Flexible scale set of each zone.

A launch has a resource group of its own, unless one was named. Whatever is made carries the launch's tags from its own create call, and is
found by them: in the subscription that the journal names, or else in the own one and in those of other launches from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from azure.core.exceptions import AzureError
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup

from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.resources import MACHINE, SET, Kind, is_gone, subscription_in
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.azure.types import default_types
from goldbake.clouds.failure import Failure, worst
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, UsageError
from goldbake.log import Progress
from launch.azure import listing, removal, schedules
from launch.azure import request as requests
from launch.azure.network import Networks, subnet_region
from launch.azure.request import Ground, Site
from launch.azure.survey import image_version, regions, survey
from launch.azure.tries import Tries, Try
from launch.azure.watch import ConsoleReader, died, seen
from launch.base import ACCOUNT, REGIONS, CloudOptions, Created, Instance, LaunchSpec, Place, Resource, require_seen
from launch.observe import Consoles, Deaths, Seen
from launch.side_by_side import in_each

T = TypeVar("T", Instance, Resource)

GROUP = "resource-group"
"""The option of a journal entry that names the resource group, where a launch did not make one for itself."""

_AT_ONCE = 8
_SCHEDULES_AT_ONCE = 16


class AzureLauncher:
    """A `launch.base.Launcher`. `remembered` gives what the journal of a launch remembers, `accounts` the subscriptions that journals name.

    `image` is an image version of ours: its subscription is the own one where the environment names none.
    """

    cloud = Cloud.AZURE
    shared = True
    poll_s = 2.0
    removal_s = 1800.0
    """A group goes with its slowest machine, and then its network."""
    batch = 600
    """What a scale set takes of one image version's replica (https://learn.microsoft.com/azure/virtual-machines/azure-compute-gallery)."""

    def __init__(
        self,
        options: CloudOptions,
        *,
        remembered: Callable[[str], Mapping[str, str]] = lambda _: {},
        accounts: Callable[[], Sequence[str]] = lambda: (),
        azure: Azure | None = None,
        image: str = "",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._azure = azure or Azure(subscription_in(image))
        self._remembered = remembered
        self._accounts = accounts
        self._now = now
        self._grounds: dict[str, Ground] = {}
        self._types: tuple[str, ...] = options.types
        self._networks = Networks(self._azure, options)
        self._tries = Tries(self._azure, clock, self._warn)
        self._key = options.key
        self._groups: set[str] = set()
        self._made: dict[str, dict[str, Kind]] = {}
        self._homes: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._deaths = Deaths(self._states, died, clock)
        self._consoles = Consoles(ConsoleReader(self._azure, lambda instance: self._group(instance.launch_id)), clock)
        self._scheduled = False
        self._notes: dict[str, str] = {}
        self._mutex = threading.Lock()
        self._progress: Progress | None = None

    def seen_from_inside(self, organization: str) -> str:
        return organization

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        self._progress = progress
        if not self._types:
            self._types = default_types(spec.described.gpus if spec.described else ())
            progress.info(f"VM size {self._types[0]}: the cheapest with a GPU that {spec.image} works on (--instance-type names others)")
        image = image_version(self._azure, spec)
        requests.require_sense(self._options, image)
        self._require_group()
        wanted = regions(spec, self._options, image, subnet_region(self._azure, self._options))
        found = in_each(wanted, lambda region: survey(self._azure, region, self._options, image, self._types), at_once=_AT_ONCE)
        unfit = [problem for _, problem in found if isinstance(problem, GoldbakeError)]
        self._grounds = {region: ground for region, ground in found if isinstance(ground, Ground)}
        if not self._grounds:
            raise unfit[0]
        for problem in unfit:
            progress.warn(problem.message)
        self._homes[spec.launch_id] = self._azure.subscription
        self._key = self._key or requests.throw_away_key()
        for region, ground in self._grounds.items():
            progress.detail("places", f"{region}: {', '.join(self._zones(ground)) or 'no zones'}")
        if not (self._options.subnet or self._options.public_address):
            progress.info(
                "the machines get out by a NAT gateway of the launch's own, which costs a little by the hour (--subnet names a network)"
            )
            if self._options.ssh_from:
                progress.warn("--ssh-from opens SSH on machines that nobody reaches: add --public-ip, or name a network with --subnet")
        fits = schedules.fits(spec, self._now())
        self._scheduled = fits and schedules.is_registered(self._azure)
        off = f"bills what is off (after `{schedules.REGISTER}` it deallocates them)" if fits else "bills what is off"
        off = "is told to deallocate them then" if self._scheduled else off
        progress.info(f"the machines power themselves off when their time is over; Azure {off}, and `./inv reap --cloud azure` removes all")

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        return [
            Place(region, zone, spot, size.name if len(self._types) > 1 else "")
            for spot in self._options.market.spot
            for region, ground in self._grounds.items()
            for size in ground.sizes
            if size.spot or not spot
            # Without a zone Azure looks everywhere in the region, and its refusal then counts for all of it: that is the last to try.
            for zone in [*(f"{region}-{zone}" for zone in size.zones), *(() if self._options.zones else ("",))]
        ]

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        given = {GROUP: self._options.resource_group} if self._options.resource_group else {}
        return {ACCOUNT: self._azure.subscription, REGIONS: ",".join(self._grounds)} | given

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        group = self._made_group(spec)
        with self._networks.used(spec, place.region):
            site = self._networks.site(spec, group, place.region)
            created = self._started(spec, numbers, place, group, site)
        self._schedule(spec, group, place.region, created.instances)
        for problem in self._networks.settle(spec, place.region):
            self._warn(f"{problem.message}; destroy will")
        return created

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        return self._look(launch_id, lambda subscription: list(listing.resources(self._azure, subscription, launch_id)))

    def delete(self, resources: Sequence[Resource]) -> None:
        problems = removal.remove(self._azure, resources)
        if problems:
            raise worst(problems)

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        group = self._group(launch_id) if launch_id and self._is_known(launch_id) else ""
        return self._look(launch_id, lambda subscription: listing.living(self._azure, subscription, launch_id, group))

    def console(self, instance: Instance) -> str:
        return self._consoles.read(instance)

    def death(self, instance: Instance) -> Failure | None:
        return self._deaths.of(instance)

    def seal(self, instance: Instance) -> str:
        # Custom data can be read neither from outside nor from the metadata service, and first boot has overwritten its files: nothing is to do.
        with self._mutex:
            return self._notes.pop(instance.launch_id, "")

    def _zones(self, ground: Ground) -> list[str]:
        """The zones of a region in which any of the sizes may be."""
        return sorted({f"{ground.region}-{zone}" for size in ground.sizes for zone in size.zones})

    def _is_set(self, spec: LaunchSpec) -> bool:
        return spec.count > 1

    def _kind(self, place: Place) -> str:
        return place.kind or self._grounds[place.region].sizes[0].name

    def _group(self, launch_id: str) -> str:
        """The resource group of a launch: the one that was named for it, or its own."""
        given = self._options.resource_group if launch_id in self._homes else self._remembered(launch_id).get(GROUP, "")
        return given or requests.group_name(launch_id)

    def _is_known(self, launch_id: str) -> bool:
        """Whether it was made here, or has a journal here."""
        return launch_id in self._homes or bool(self._remembered(launch_id))

    def _require_group(self) -> None:
        named = self._options.resource_group
        if not named:
            return
        try:
            self._azure.client(ResourceManagementClient).resource_groups.get(named)
        except AzureError as error:
            if is_gone(error):
                hint = "leave it out: each launch then makes one of its own, which goes as a whole"
                raise UsageError(f"--resource-group {named} is not there", hint=hint) from error
            raise failure(error, doing="look at the resource group", place=named) from error

    def _made_group(self, spec: LaunchSpec) -> str:
        """The resource group of the launch, made by whoever needs it first. Raises Failure."""
        group = self._group(spec.launch_id)
        with self._mutex:
            if self._options.resource_group or group in self._groups:
                return group
            region = next(iter(self._grounds))
            body = ResourceGroup({"location": region, "tags": spec.tags()})
            try:
                self._azure.client(ResourceManagementClient).resource_groups.create_or_update(group, body)
            except AzureError as error:
                raise failure(error, doing="make the resource group of the launch", place=region) from error
            self._groups.add(group)
            return group

    def _started(self, spec: LaunchSpec, numbers: Sequence[int], place: Place, group: str, site: Site) -> Created:
        """One VM, or a scale set of them, at one place. Raises Failure, with nothing left, when none was started."""
        ground, size, named = self._grounds[place.region], self._kind(place), requests.name(spec, numbers, place)
        what = Try(group, named, SET if self._is_set(spec) else MACHINE, size, place, len(numbers))
        wanted = requests.Wanted(spec, self._options, ground.image, ground.size(size), site, place, named, self._key)
        with self._mutex:
            self._made.setdefault(spec.launch_id, {})[named] = what.kind
        if what.kind is MACHINE:
            found, missing = [self._tries.one(what, requests.machine(wanted))], None
        else:
            found, missing = self._tries.many(what, requests.scale_set(wanted, what.count))
        return Created(self._described(spec, numbers, found, group), missing)

    def _schedule(self, spec: LaunchSpec, group: str, region: str, instances: Sequence[Instance]) -> None:
        """Let Azure end the machines too, where it can. That it cannot is told, and is no failure of the launch."""
        if not self._scheduled or not instances:
            return

        def one(instance: Instance) -> str:
            try:
                schedules.put(self._azure, spec, group, region, instance.id)
            except AzureError as error:
                return failure(error, doing=f"schedule the end of {instance.id}", place=region).message
            except Failure as error:
                return error.message
            return ""

        with ThreadPoolExecutor(max_workers=min(_SCHEDULES_AT_ONCE, len(instances)), thread_name_prefix="schedules") as pool:
            problems = list(filter(None, pool.map(one, instances)))
        if problems:
            with self._mutex:
                self._notes[spec.launch_id] = (
                    f"{problems[0]} ({len(problems)} of {len(instances)}): a machine that has powered itself off is billed until `./inv reap`"
                )

    def _described(self, spec: LaunchSpec, numbers: Sequence[int], found: Sequence[Any], group: str) -> tuple[Instance, ...]:
        """The instances that were made, with their addresses."""
        try:
            addresses = listing.addresses(self._azure, "", group)
        except AzureError:
            addresses = {}  # they run: what is not known now is known later
        made = []
        for number, item in zip(numbers, found, strict=False):
            instance = listing.instance(item, number, addresses.get(str(item.id).lower(), ""), "running", spec.tags())
            made.append(self._with_reach(instance))
        return tuple(made)

    def _with_reach(self, instance: Instance) -> Instance:
        """Somebody gets in only with a key, a port that is open for him, and an address."""
        if not (self._options.key and self._options.ssh_from and instance.address):
            return instance
        return replace(instance, reach=f"ssh {requests.USER}@{instance.address}")

    def _states(self, launch_id: str) -> Iterable[tuple[str, Seen]]:
        """The states of the machines that this process has started. Raises Failure."""
        group = self._group(launch_id)
        with self._mutex:
            made = dict(self._made.get(launch_id, {}))
        try:
            items = [item for named, kind in made.items() for item in listing.made(self._azure, group, named, kind)]
        except AzureError as error:
            raise failure(error, doing="say what runs", place=group) from error
        return [(str(item.name), seen(item)) for item in items]

    def _look(self, launch_id: str | None, work: Callable[[str], list[T]]) -> list[T]:
        """What `work` finds in the subscription of a launch; in all that are known when it is not.

        Raises Failure; PartlySeen when only some of all could be asked.
        """
        known = (
            (self._homes.get(launch_id) or self._remembered(launch_id).get(ACCOUNT) or self._found.get(launch_id)) if launch_id else None
        )
        subscriptions = [known] if known else list(dict.fromkeys((self._azure.subscription, *self._accounts())))
        found, problems = list[T](), list[Failure]()
        for subscription in subscriptions:
            try:
                of_subscription = work(subscription)
            except AzureError as error:
                problems.append(failure(error, doing="say what is there", place=f"subscription {subscription}"))
                continue
            with self._mutex:
                self._found |= dict.fromkeys((one.launch_id for one in of_subscription), subscription)
            found += of_subscription
        require_seen(launch_id, len(subscriptions), found, problems)
        return found

    def _warn(self, text: str) -> None:
        if self._progress is not None:
            self._progress.warn(text)
