"""What of moto's own classes is changed, once per process: public images, the disks of images, and listings that take time in the number of all tags."""

from __future__ import annotations

from typing import Any, cast

import moto.ec2.urls
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.tags import TagBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from tests.fakes.aws.book import BOOK
from tests.fakes.aws.times import parsed

_installed = False


def install(response: Any) -> None:
    """Let moto answer EC2 with `response`."""
    global _installed  # noqa: PLW0603 (the classes of a process are changed once)
    if _installed:
        return
    _installed = True
    moto.ec2.urls.url_paths = {"{0}/": response.dispatch}
    backend, image, tags = cast(Any, AmiBackend), cast(Any, Ami), cast(Any, TagBackend)
    backend._load_amis = _load_seeds
    image.block_device_mappings = property(_mappings)
    tags.describe_tags = _quick_tags(tags.describe_tags)


def _load_seeds(backend: Any) -> None:
    for seed in BOOK.seeds:
        image = Ami(
            backend,
            seed.id_in(backend.region_name),
            name=seed.name,
            description=seed.name,
            owner_id=seed.owner,
            public=True,
            virtualization_type="hvm",
            architecture=seed.architecture,
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=seed.root_device,
            creation_date=parsed(seed.created),
            image_location=f"{seed.owner}/{seed.name}",
            boot_mode="uefi-preferred",
        )
        describe(image, seed.size_gib)
        image.deprecation_time = seed.deprecated or "2028-11-01T00:00:00.000Z"  # type: ignore[attr-defined]
        backend.amis[image.id] = image


def describe(image: Any, size_gib: int) -> None:
    """What moto leaves out of every image."""
    image.ena_support = True
    image.size_gib = size_gib
    image.platform_details = "Linux/UNIX"
    image.usage_operation = "RunInstances"


def _mappings(image: Any) -> list[dict[str, Any]]:
    size = getattr(image, "size_gib", 8)
    disk = {"SnapshotId": image.ebs_snapshot.id, "VolumeSize": size, "DeleteOnTermination": True, "VolumeType": "gp3", "Encrypted": False}
    disk["Encrypted"] = image.ebs_snapshot.encrypted
    return [{"DeviceName": image.root_device_name, "Ebs": disk}]


def _quick_tags(slow: Any) -> Any:
    def describe_tags(backend: Any, filters: dict[str, list[str]] | None = None) -> Any:
        wanted = (filters or {}).get("resource-id")
        if filters is None or list(filters) != ["resource-id"] or wanted is None or any(set(one) & set("*?[\\") for one in wanted):
            return slow(backend, filters)
        return [
            {"resource_id": one, "key": key, "value": value, "resource_type": EC2_PREFIX_TO_RESOURCE.get(get_prefix(one), "")}
            for one in wanted
            if one in backend.tags
            for key, value in backend.tags[one].items()
        ]

    return describe_tags
