"""What is Azure's own about its machines: how its fake is told and asked, what the firmware says, and what the provisioning agent writes. The rest is
in world.py.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Mapping, Sequence

from tests.fakes.azure import Event, FakeAzure
from tests.fakes.azure.imds import Imds
from tests.integration.world import World
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


class ResourceManager:
    """The fake Azure as the world's provider. A disk has a name that is never used again."""

    def __init__(self, fake: FakeAzure) -> None:
        self._fake = fake

    def attach(self, world: World) -> Callable[[], None]:
        def heard(event: Event) -> None:
            if event.what in ("started", "restarted"):
                world.started(event.instance)
            elif event.what in ("stopped", "deleted"):
                world.ended(event.instance)
            elif event.what == "imaged":
                world.imaged(self.disk(event.instance), event.image.lower())

        self._fake.book.listeners.append(heard)
        self._fake.book.console_of = world.console
        return lambda: self._fake.book.listeners.remove(heard)

    def image(self, instance_id: str) -> str:
        return str(self._fake.machine(instance_id).memory["image"]).lower()

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

    def power_off(self, instance_id: str) -> None:
        self._fake.power_off(instance_id)

    def crashes(self) -> Sequence[str]:
        return self._fake.crashes
