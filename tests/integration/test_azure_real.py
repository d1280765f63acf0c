"""The way of a bake and a launch in a real subscription; see azureaccount.py for what it costs and needs."""

from __future__ import annotations

import pytest
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.resources import parts
from goldbake.clouds.azure.session import Azure
from goldbake.config.model import Cloud
from tests.integration import azureaccount
from tests.integration.cloudreal import Account, Document, WholeWay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600), azureaccount.only_real]


class Subscription(Account):
    """A subscription of Azure, with the gallery that images.yaml names."""

    cloud = Cloud.AZURE
    place = "AZURE_SUBSCRIPTION_ID"
    ttl_s = azureaccount.REAL_TTL_S
    options = ("--instance-type", azureaccount.REAL_SIZE)

    def __init__(self) -> None:
        super().__init__()
        self._calls = Azure().client(ComputeManagementClient)

    def remove(self, record: Document) -> None:
        of = parts(record["artifact"])
        self._calls.gallery_image_versions.begin_delete(of.group, *of.names).result()

    def tags_of_finished(self, record: Document) -> dict[str, str]:
        of = parts(record["artifact"])
        version = self._calls.gallery_image_versions.get(of.group, *of.names)
        assert version.tags is not None
        assert version.properties is not None
        assert version.properties.publishing_profile is not None
        assert version.properties.publishing_profile.exclude_from_latest is False
        return version.tags

    def assert_sealed(self, launched: Document) -> None:
        for one in launched["instances"]:
            machine = self._calls.virtual_machines.get(f"goldbake-{launched['launch']}", one["id"], expand="userData")
            assert not (machine.properties and machine.properties.user_data)

    def left(self, name: str, value: str, region: str = "") -> list[str]:
        return azureaccount.left(tag=name, value=value)


@pytest.fixture(scope="module")
def account() -> Account:
    return Subscription()


class TestWholeWay(WholeWay):
    """On Azure."""
