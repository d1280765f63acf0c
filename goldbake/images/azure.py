"""The image side of Azure: base images of the Marketplace, versions of images in a Compute Gallery, and their replicas."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute

from goldbake.clouds import tags as names
from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure, refused
from goldbake.clouds.azure.operations import finished
from goldbake.clouds.azure.quotas import explained
from goldbake.clouds.azure.resources import VERSION, delete, is_gone, parts
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.azure.skus import Needs, skus
from goldbake.clouds.azure.spoken import recognised
from goldbake.clouds.failure import Failure, Scope
from goldbake.config import base_images
from goldbake.config.azure import AzureSettings
from goldbake.config.model import Cloud, Image
from goldbake.errors import Exit, MissingError, UsageError
from goldbake.images import azure_account, azure_gallery, azure_leftovers
from goldbake.images.base import Attempt, Base
from goldbake.packer import Value

_STARTING = "start a build VM"
_DATE = re.compile(r"20\d{6}")
"""Publishers write the day of an image into its version: 0.20260112.1990 (Debian), 24.04.202601120 (Canonical)."""
_CHANGE_S = 900.0
_DELETE_S = 1800.0


class AzureImages:
    """Image versions of the subscription that the environment or images.yaml names. `pause` waits a number of seconds, `patience` is how long
    removals are waited for.
    """

    cloud = Cloud.AZURE

    def __init__(
        self,
        azure: Azure | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
        patience: float = azure_leftovers.PATIENCE_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._azure = azure
        self._pause = pause
        self._patience = patience
        self._now = now
        self._mutex = threading.Lock()

    def region(self, image: Image) -> str:
        return image.azure.location

    def home(self, image: Image) -> str:
        return f"/subscriptions/{self._of(image.azure).subscription}/"

    def has_gpu(self, image: Image) -> bool:
        return image.azure.has_gpu

    def base(self, image: Image) -> Base:
        """The newest version of the publisher's image. Raises MissingError when there is none in the region."""
        wanted, settings = base_images.AZURE[image.os], image.azure
        place, urn = settings.location, f"{wanted.publisher}:{wanted.offer}:{wanted.sku}"
        calls = self._compute(settings).virtual_machine_images
        with _asking(f"look for base images of {image.os}", place):
            try:
                listed = [str(item.name) for item in calls.list(place, wanted.publisher, wanted.offer, wanted.sku)]
            except ResourceNotFoundError:
                listed = []
        if not listed:
            raise MissingError(
                f"there is no base image of {image.os} in {place}: the Marketplace has no version of {urn} there",
                hint=f"compare with `az vm image list --location {place} --publisher {wanted.publisher} --offer {wanted.offer} --sku {wanted.sku}"
                " --all`, or name another region in images.yaml (azure.location)",
            )
        newest = max(listed, key=_numbers)
        with _asking(f"look at the base image {urn}:{newest}", place):
            found = calls.get(place, wanted.publisher, wanted.offer, wanted.sku, newest)
        _require_usable(found, f"{urn}:{newest}")
        day = _DATE.search(newest)
        created = datetime.datetime.strptime(day[0], "%Y%m%d").date().isoformat() if day else ""
        return Base(f"{urn}:{newest}", f"{wanted.offer} {wanted.sku}", wanted.publisher, created)

    def attempts(self, image: Image) -> Sequence[Attempt]:
        """On spot first if images.yaml says so; then on demand. Azure chooses the zone itself. Raises UsageError for a size that cannot be."""
        settings = image.azure
        self._require_size(settings)
        if settings.subnet:
            where = f"subnet {parts(settings.subnet).name}"
        else:
            who = ", ".join(settings.ssh_from) or "every address (azure.ssh_from names who may)"
            where = f"a network of its own, SSH open to {who}"
        version = self._version()
        return [
            Attempt(
                f"{settings.location}{' (spot)' if spot else ''}",
                f"{settings.vm_size} in {where}",
                {"gallery_version": version, "spot": spot},
                spot,
            )
            for spot in ((True, False) if settings.spot else (False,))
        ]

    def require_tools(self, image: Image) -> None:
        """SSH is all, and who has signed in with the Azure CLI has it. Raises MissingError for a certificate that Packer cannot read."""
        azure_account.require_readable()

    def make_ready(self, name: str, image: Image) -> None:
        """The image's definition in the gallery. Raises MissingError without the gallery, UsageError for a definition that does not fit."""
        azure_gallery.make_ready(self._compute(image.azure), name, image)

    def environment(self) -> dict[str, str]:
        """The account as Packer's plugin calls it; secrets travel only in the environment."""
        return azure_account.environment(self._of().subscription)

    def source(self, image_id: str) -> dict[str, Value]:
        """The version, of the base image or of our own: what it is a version of stands in the template."""
        return {"source_version": re.split("[:/]", image_id)[-1]}

    def artifact(self, build: Mapping[str, Any]) -> str:
        """The gallery's version, which the template itself has named. Raises ValueError when the plugin made nothing."""
        if build["artifact_id"] in ("", "UNKNOWN ID"):
            raise ValueError(build["artifact_id"])
        artifact: str = build["custom_data"]["artifact"]
        parts(artifact)
        return artifact

    def refusal(self, said: str, image: Image, *, spot: bool) -> Failure | None:
        code = recognised(said)
        if not code:
            return None
        found = refused(code, said, doing=_STARTING, place=image.azure.location)
        return explained(self._of(image.azure), found, region=image.azure.location, types=[image.azure.vm_size], spot=spot)

    def find(self, artifact: str, region: str) -> Mapping[str, Any] | None:
        found = self._get(artifact, region)
        return None if found is None else found.as_dict()

    def disk_bytes(self, found: Mapping[str, Any]) -> int:
        disk = found.get("properties", {}).get("storageProfile", {}).get("osDiskImage", {})
        return int(disk.get("sizeInGB", 0)) * 2**30

    def finish(self, artifact: str, region: str, tags: Mapping[str, str]) -> None:
        """Who asks for the latest version gets this one from now on, if it was checked."""
        found = self._existing(artifact, region)
        found.tags = dict(tags)
        profile = _profile(found)
        profile.exclude_from_latest = tags[names.CHECKS] != "passed"
        self._put(found, artifact, region, f"tag {parts(artifact).name}")

    def remove(self, artifact: str, region: str) -> None:
        try:
            poller = delete(self._of(), VERSION, artifact)
        except AzureError as error:
            if is_gone(error):
                return
            raise failure(error, doing=f"remove {artifact}", place=region) from error
        finished(poller, doing=f"remove {artifact}", place=region, patience=_DELETE_S)

    def leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        with _asking(f"list what bake {bake_id} has made", image.azure.location):
            return [str(one) for one in azure_leftovers.existing(self._of(image.azure), bake_id, images=images)]

    def remove_leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        with _asking(f"remove what bake {bake_id} has made", image.azure.location):
            left = azure_leftovers.remove(self._of(image.azure), bake_id, self._pause, images=images, patience=self._patience)
            return [str(one) for one in left]

    def copies(self, image: Image) -> tuple[str, ...]:
        return tuple(copy.region for copy in image.azure.copies)

    def copy(self, image: Image, name: str, artifact: str, region: str, tags: Mapping[str, str]) -> str:
        """All regions are asked for at once: Azure takes no second change of a version before the first is done everywhere."""
        found = self._existing(artifact, region)
        profile = _profile(found)
        there = {_plain(target.name) for target in profile.target_regions or ()}
        lacking = [copy for copy in image.azure.copies if copy.region not in there]
        if lacking:
            more = [
                compute.TargetRegion(name=copy.region, regional_replica_count=copy.replicas, storage_account_type=image.azure.storage)
                for copy in lacking
            ]
            profile.target_regions = [*(profile.target_regions or ()), *more]
            with _asking(f"replicate {parts(artifact).name}", region):
                self._begin_put(found, artifact, polling=False)  # `copied` looks
        return artifact

    def copied(self, artifact: str, region: str, tags: Mapping[str, str]) -> bool:
        found = self._existing(artifact, region, expand="ReplicationStatus")
        status = found.properties.replication_status if found.properties else None
        here = next((one for one in (status.summary if status else None) or () if _plain(one.region or "") == region), None)
        if here is not None and here.state == "Failed":
            raise Failure(
                Scope.REGION,
                "ReplicationFailed",
                f"{parts(artifact).name} was not replicated to {region}" + (f": {here.details}" if here.details else ""),
                hint="name another region in images.yaml (azure.copies), or run the same command again",
                exit_code=Exit.FAILED,
            )
        return here is not None and here.state == "Completed"

    def publishing(self, image: Image) -> str:
        settings = image.azure
        if not settings.deprecate_after_days:
            return ""
        return hashlib.sha256(json.dumps([settings.deprecate_after_days]).encode()).hexdigest()[:16]

    def publish(self, image: Image, artifact: str, region: str) -> None:
        """The end of life is the version's, the same in all regions."""
        found = self._existing(artifact, region)
        profile = _profile(found)
        days = image.azure.deprecate_after_days
        since = profile.published_date or datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        wanted = (since + datetime.timedelta(days=days)).replace(microsecond=0) if days else None
        if profile.end_of_life_date != wanted:
            profile.end_of_life_date = wanted
            self._put(found, artifact, region, f"set the end of life of {parts(artifact).name}")

    def _version(self) -> str:
        """Three numbers that grow with time: year, month and day, seconds of the day (UTC)."""
        now = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        return f"{now.year}.{now.month}{now.day:02}.{now.hour * 3600 + now.minute * 60 + now.second}"

    def _require_size(self, settings: AzureSettings) -> None:
        """Raise UsageError when the region has no machine of the size, or none for this subscription, or none that this image can start on."""
        kind, place = settings.vm_size, settings.location
        look = f"`az vm list-skus --location {place} --size {kind} --all --output table`"
        found = skus(self._of(settings), place, [kind]).get(kind.lower())
        if found is None:
            raise UsageError(
                f"{place} has no VM size {kind}", hint=f"name another size or location in images.yaml; {look} shows nothing then"
            )
        if found.restricted:
            raise UsageError(
                f"this subscription may not use {kind} in {place} ({found.restricted})",
                hint=f"name another size or location in images.yaml, or ask for access with a support request; {look}",
            )
        lacks = found.unfit(Needs(trusted_launch=settings.security == "trusted-launch"))
        if settings.spot and not found.spot:
            lacks = lacks or "is never spare capacity"
        if lacks:
            raise UsageError(f"{kind} in {place} {lacks}", hint=f"name another size in images.yaml (azure.vm_size); {look}")

    def _of(self, settings: AzureSettings | None = None) -> Azure:
        with self._mutex:
            if self._azure is None:
                self._azure = Azure(settings.subscription if settings else "")
            return self._azure

    def _compute(self, settings: AzureSettings) -> ComputeManagementClient:
        return self._of(settings).client(ComputeManagementClient)

    def _get(self, artifact: str, region: str, expand: str | None = None) -> compute.GalleryImageVersion | None:
        of = parts(artifact)
        calls = self._of().client(ComputeManagementClient, of.subscription).gallery_image_versions
        gallery, image, version = of.names
        try:
            found = calls.get(of.group, gallery, image, version, expand=expand)
        except AzureError as error:
            if is_gone(error):
                return None
            raise failure(error, doing=f"look for {artifact}", place=region) from error
        state = word(found.properties.provisioning_state if found.properties else "")
        return None if state in ("Failed", "Deleting") else found

    def _existing(self, artifact: str, region: str, expand: str | None = None) -> compute.GalleryImageVersion:
        found = self._get(artifact, region, expand)
        if found is None:
            raise Failure(
                Scope.REQUEST, "NotFound", f"{artifact} is gone, or could not be made", hint="run the same command again: it bakes anew"
            )
        return found

    def _put(self, changed: compute.GalleryImageVersion, artifact: str, region: str, doing: str) -> None:
        with _asking(doing, region):
            poller = self._begin_put(changed, artifact)
        finished(poller, doing=doing, place=region, patience=_CHANGE_S)

    def _begin_put(self, changed: compute.GalleryImageVersion, artifact: str, **how: Any) -> Any:
        of = parts(artifact)
        gallery, image, version = of.names
        calls = self._of().client(ComputeManagementClient, of.subscription).gallery_image_versions
        return calls.begin_create_or_update(of.group, gallery, image, version, changed, **how)


@contextmanager
def _asking(doing: str, place: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except AzureError as error:
        raise failure(error, doing=doing, place=place) from error


def _require_usable(found: compute.VirtualMachineImage, urn: str) -> None:
    """Raise MissingError for a base image that Azure withdraws, or that is only for who has accepted a publisher's terms."""
    about = found.properties
    state = about.image_deprecation_status.image_state if about and about.image_deprecation_status else "Active"
    if state == "Deprecated":
        raise MissingError(
            f"the newest base image {urn} is deprecated", hint="its publisher offers another: name another os in images.yaml"
        )
    if about and about.plan is not None:
        raise MissingError(
            f"the base image {urn} has a purchase plan, which every machine made of it would need",
            hint=f"`az vm image terms show --urn {urn}` tells whose; name another os in images.yaml",
        )


def _profile(found: compute.GalleryImageVersion) -> compute.GalleryImageVersionPublishingProfile:
    assert found.properties is not None
    if found.properties.publishing_profile is None:
        found.properties.publishing_profile = compute.GalleryImageVersionPublishingProfile()
    return found.properties.publishing_profile


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) if word.isdigit() else -1 for word in version.split("."))


def _plain(region: str) -> str:
    """Azure answers `East US` where it was told `eastus`."""
    return region.replace(" ", "").lower()
