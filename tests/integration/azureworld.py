"""What is Azure's own about its machines: how its fake is told and asked, what the firmware says, and what the provisioning agent writes. The rest is
in cloudworld.py and world.py.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from typing import Any

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure.session import Azure
from tests.fakes.azure import FakeAzure
from tests.fakes.azure.imds import Imds
from tests.integration.cloudworld import FakeCloud
from tests.integration.worldmachine import Login

_OVF = """\
<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
 <wa:ProvisioningSection><wa:Version>1.0</wa:Version>
  <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
   <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
   <HostName>{name}</HostName><UserName>{user}</UserName><DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
   <CustomData>{data}</CustomData>
  </LinuxProvisioningConfigurationSet>
 </wa:ProvisioningSection>
</Environment>
"""


class ResourceManager(FakeCloud[FakeAzure]):
    """The fake Azure as the world's provider. A disk has a name that is never used again."""

    def image(self, instance_id: str) -> str:
        return self.known_as(str(self._fake.machine(instance_id).memory["image"]))

    def disk(self, instance_id: str) -> str:
        return str(self._fake.machine(instance_id).properties["storageProfile"]["osDisk"]["managedDisk"]["id"])

    def firmware(self, instance_id: str) -> Mapping[str, str]:
        return {
            "sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "bios_vendor": "Microsoft Corporation",
            "board_name": "Virtual Machine", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
        }  # fmt: skip

    def login(self, instance_id: str) -> Login | None:
        """Azure makes no machine without a user."""
        profile = self._fake.machine(instance_id).properties["osProfile"]
        keys = profile["linuxConfiguration"]["ssh"]["publicKeys"]
        return Login(profile["adminUsername"], keys[0]["keyData"].strip())

    def files(self, instance_id: str) -> Mapping[str, bytes]:
        """What cloud-init keeps of custom data when it provisions a machine: the text itself, and the description that it came in."""
        machine = self._fake.machine(instance_id)
        data = str(machine.secret.get("customData", ""))
        if not data:
            return {}
        user = machine.properties["osProfile"]["adminUsername"]
        return {
            "var/lib/cloud/instance/user-data.txt": base64.b64decode(data),
            "var/lib/waagent/ovf-env.xml": _OVF.format(name=machine.name, user=user, data=data).encode(),
        }

    def metadata(self, instance_id: str, entrance: socket.socket) -> Imds:
        return Imds(self._fake, instance_id, entrance)

    def known_as(self, image: str) -> str:
        """Resource Manager answers ids in other capitals than it was asked with."""
        return image.lower()


def make_gallery(group: str, name: str, location: str) -> None:
    """Make a resource group with an empty gallery, in the subscription that the environment leads to."""
    azure = Azure()
    body: Any = {"location": location}
    azure.client(ResourceManagementClient).resource_groups.create_or_update(group, body)
    azure.client(ComputeManagementClient).galleries.begin_create_or_update(group, name, body).result()
