"""The calls about images and snapshots that moto answers otherwise than EC2 does."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow

from tests.fakes.aws.answers import Refused
from tests.fakes.aws.book import BOOK, Event
from tests.fakes.aws.fleets import Fleets
from tests.fakes.aws.moto_changes import describe
from tests.fakes.aws.times import parsed, written


class Images(Fleets):
    """AMIs: made, copied, described, deprecated, deregistered."""

    def create_image(self) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        name = self._get_param("Name")
        if any(one.name == name and one.owner_id == self.current_account for one in self.ec2_backend.amis.values()):
            raise Refused("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI")
        tags = self._split_tags()
        answer: Any = super().create_image()
        image = self.ec2_backend.amis[answer.result["ImageId"]]
        source = self.ec2_backend.amis.get(instance.image_id)
        image.root_device_name = instance.root_device_name
        image.root_device_type, image.virtualization_type, image.hypervisor = "ebs", "hvm", "xen"
        image.boot_mode = source.boot_mode if source else "uefi-preferred"
        image.source_image_id = instance.image_id
        root = instance.block_device_mapping.get(instance.root_device_name)
        volume = self.ec2_backend.get_volume(root.volume_id) if root else None
        describe(image, volume.size if volume else 8)
        image.ebs_snapshot.encrypted = bool(volume and volume.encrypted)
        image.ebs_snapshot.volume.size = image.size_gib
        image.ebs_snapshot.add_tags(tags)
        BOOK.tell(Event("imaged", self.region, instance.id, image.id))
        return answer

    def copy_image(self) -> Any:
        from moto.ec2.models import ec2_backends  # noqa: PLC0415 (moto's own order of imports)

        wanted, origin = self._get_param("SourceImageId"), self._get_param("SourceRegion")
        source = ec2_backends[self.current_account][origin].amis.get(wanted)
        if source is None:
            raise Refused("InvalidAMIID.NotFound", f"The image id '[{wanted}]' does not exist")
        image_tags: list[dict[str, str]] = next(
            (one["Tags"] for one in self._get_param("TagSpecifications", []) if one["ResourceType"] == "image"), []
        )
        tags = self._split_tags()
        answer: Any = super().copy_image()
        image = self.ec2_backend.amis[answer.result["ImageId"]]
        image.root_device_name, image.root_device_type, image.boot_mode = source.root_device_name, source.root_device_type, source.boot_mode
        image.hypervisor, image.source_image_id, image.source_image_region = "xen", wanted, origin
        describe(image, getattr(source, "size_gib", 8))
        if hasattr(source, "imds_support"):
            image.imds_support = source.imds_support
        image.ebs_snapshot.encrypted = bool(self._get_param("Encrypted")) or source.ebs_snapshot.encrypted
        image.ebs_snapshot.volume.size = image.size_gib
        image.ebs_snapshot.add_tags(tags)
        if self._get_param("CopyImageTags"):
            image.add_tags({one["key"]: one["value"] for one in source.get_tags() if not one["key"].startswith("aws:")})
        image.add_tags({one["Key"]: one["Value"] for one in image_tags})
        return answer

    def register_image(self) -> Any:
        """moto keeps only name and description."""
        answer: Any = super().register_image()
        image = self.ec2_backend.amis[answer.result["ImageId"]]
        image.root_device_name = self._get_param("RootDeviceName", "/dev/sda1")
        image.architecture = self._get_param("Architecture", "i386")
        image.virtualization_type = self._get_param("VirtualizationType", "paravirtual")
        image.boot_mode, image.root_device_type, image.hypervisor = self._get_param("BootMode", "legacy-bios"), "ebs", "xen"
        disks = [one.get("Ebs", {}) for one in self._get_param("BlockDeviceMappings", []) if one["DeviceName"] == image.root_device_name]
        describe(image, disks[0].get("VolumeSize", 8) if disks else 8)
        image.ena_support = bool(self._get_param("EnaSupport"))
        if self._get_param("ImdsSupport"):
            image.imds_support = self._get_param("ImdsSupport")
        return answer

    def describe_images(self) -> Any:
        answer: Any = super().describe_images()
        if self._get_param("IncludeDeprecated") or self._get_param("ImageIds"):
            return answer
        mine = self.current_account
        shown = [one for one in answer.result["Images"] if one.owner_id == mine or not _is_over(getattr(one, "deprecation_time", None))]
        return ActionResult({"Images": [one for one in shown if one.owner_id == mine or one.is_public or _is_shared(one, mine)]})

    def modify_image_attribute(self) -> Any:
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        if image is None:
            raise Refused("InvalidAMIID.NotFound", f"The image id '[{self._get_param('ImageId')}]' does not exist")
        support = self._get_param("ImdsSupport.Value") or (
            self._get_param("Value") if self._get_param("Attribute") == "imdsSupport" else None
        )
        if support:
            image.imds_support = support
        if self._get_param("Description.Value"):
            image.description = self._get_param("Description.Value")
        return super().modify_image_attribute()

    def enable_image_deprecation(self) -> Any:
        self._own_image().deprecation_time = written(self._get_param("DeprecateAt"))
        return ActionResult({"Return": True})

    def disable_image_deprecation(self) -> Any:
        self._own_image().deprecation_time = None
        return ActionResult({"Return": True})

    def deregister_image(self) -> Any:
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        answer = super().deregister_image()
        if self._get_param("DeleteAssociatedSnapshots") and image is not None:
            self.ec2_backend.delete_snapshot(image.ebs_snapshot.id)
        return answer

    def modify_snapshot_attribute(self) -> Any:
        if self._get_param("SnapshotId") not in self.ec2_backend.snapshots:
            raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{self._get_param('SnapshotId')}' does not exist.")
        super().modify_snapshot_attribute()
        return EmptyResult()

    def _own_image(self) -> Any:
        wanted = self._get_param("ImageId")
        image = self.ec2_backend.amis.get(wanted)
        if image is None:
            raise Refused("InvalidAMIID.NotFound", f"The image id '[{wanted}]' does not exist")
        if image.owner_id != self.current_account:
            raise Refused("AuthFailure", f"Not authorized for image:{wanted}")
        return image

    def _split_tags(self) -> dict[str, str]:
        """Takes the snapshot's tags out of the request: moto stops at them."""
        specifications = self._get_param("TagSpecifications", [])
        self.params["TagSpecifications"] = [one for one in specifications if one["ResourceType"] != "snapshot"]
        return {tag["Key"]: tag["Value"] for one in specifications if one["ResourceType"] == "snapshot" for tag in one["Tags"]}


def _is_over(time: Any) -> bool:
    if time is None:
        return False
    return bool((parsed(time) if isinstance(time, str) else time) < utcnow())


def _is_shared(image: Any, account: str) -> bool:
    return any(one.get("UserId") == account for one in image.launch_permissions)
