"""What images.yaml says for AWS only: `images.NAME.aws`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from goldbake.config.frozen import Frozen

AwsRegion = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
KmsKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^((mrk-)?[0-9a-f-]{32,36}|alias/[A-Za-z0-9/_-]{1,250}|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,250})?$"
    ),
]
_CIDR = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/([1-9]|[12][0-9]|3[0-2])$"
_AWS_READER = (
    r"^([0-9]{12}|arn:aws[a-z-]*:organizations::[0-9]{12}:(organization/o-[a-z0-9]{10,32}|ou/o-[a-z0-9]{10,32}/ou-[a-z0-9-]{6,68}))$"
)


class AwsCopy(Frozen):
    """Another region that gets a copy of the image."""

    region: AwsRegion
    """The region of the copy."""
    kms_key: KmsKey = ""
    """The key of that region which encrypts the copy, as key id, alias or ARN; without it that region's default key. Only with `encrypt`."""


class AwsSettings(Frozen):
    """What only AWS needs."""

    region: AwsRegion = "us-east-1"
    """The region in which the image is baked."""
    instance_type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")] = "c7i.xlarge"
    """The build instance; no GPU is needed to bake. One with a GPU has the image checked on that GPU as well."""
    spot: bool = False
    """Bake on spare capacity, which costs less; where there is none, on demand."""
    vpc: Annotated[str, StringConstraints(pattern=r"^(vpc-[0-9a-f]{8,17})?$")] = ""
    """The VPC of the build instance; empty: the region's default VPC."""
    subnet: Annotated[str, StringConstraints(pattern=r"^(subnet-[0-9a-f]{8,17})?$")] = ""
    """The subnet of the build instance; empty: one of the VPC, in a zone that offers the instance type."""
    communicator: Literal["ssh", "session-manager"] = "ssh"
    """How the build instance is reached: by SSH, or by SSH through AWS Systems Manager, which needs no open port but `instance_profile`."""
    address: Literal["public", "private"] = "public"
    """Whether the build instance gets a public address. `private`: this machine reaches the subnet by itself, or `session-manager` does."""
    ssh_from: tuple[Annotated[str, StringConstraints(pattern=_CIDR)], ...] = ()
    """Who may open SSH on the build instance, as CIDR blocks; empty: only this machine's own public address."""
    instance_profile: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+=,.@_-]{0,128}$")] = ""
    """Instance profile of the build instance; for `session-manager` one with AmazonSSMManagedInstanceCore. Empty: none."""
    volume_throughput: Annotated[int, Field(ge=125, le=750)] = 250
    """MiB/s of the build instance's gp3 volume; 750 is what its 3000 IOPS can carry."""
    encrypt: bool = False
    """Encrypt the image. Off by default: an image holds no secret, one encrypted with AWS's own key cannot be shared, and every launch would need
    rights on the key. An account that encrypts by default encrypts this one as well."""
    kms_key: KmsKey = ""
    """The key that encrypts the image, as key id, alias or ARN; empty: the region's default key. Only with `encrypt`."""
    boot_mode: Literal["any", "legacy-bios", "uefi", "uefi-preferred"] = "any"
    """What the base image must boot by; the image inherits it, EC2 offers no other way. `any`: as the newest base image does."""
    copies: tuple[AwsCopy, ...] = ()
    """Regions that get a copy, once the image is checked."""
    share_with: tuple[Annotated[str, StringConstraints(pattern=_AWS_READER)], ...] = ()
    """Who else may start instances from the image: account numbers, or ARNs of organizations and organizational units. Empty: nobody."""
    deprecate_after_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Days after which EC2 lists the image as deprecated, which hides it from others; it stays usable. 0: never."""

    @property
    def has_gpu(self) -> bool:
        """Whether the build instance has an NVIDIA GPU: families g and p, but none of AMD's."""
        return re.match(r"(g[4-9]|gr[4-9]|p[2-9])(?!ad)", self.instance_type) is not None
