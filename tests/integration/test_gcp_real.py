"""The way of a bake and a launch in a real project; see gcpaccount.py for what it costs and needs."""

from __future__ import annotations

import os

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from tests.integration import gcpaccount
from tests.integration.cloudreal import Account, Document, WholeWay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * 3600), gcpaccount.only_real]

WAY_OUT = ("--subnet", subnet) if (subnet := os.environ.get("GOLDBAKE_REAL_GCP_SUBNET")) else ("--public-ip",)
"""The default network has no other way to the service than a public address."""


class Project(Account):
    """A project of Google Cloud."""

    cloud = Cloud.GCP
    place = "GOOGLE_CLOUD_PROJECT"
    ttl_s = gcpaccount.REAL_TTL_S
    options = ("--instance-type", gcpaccount.REAL_TYPE, *WAY_OUT)

    def __init__(self) -> None:
        super().__init__()
        self._project = os.environ[self.place]

    def remove(self, record: Document) -> None:
        self._images().delete_unary(project=self._project, image=record["artifact"].rpartition("/")[2])

    def tags_of_finished(self, record: Document) -> dict[str, str]:
        image = self._images().get(project=self._project, image=record["artifact"].rpartition("/")[2])
        assert (image.status, image.family) == ("READY", self.image)
        return dict(image.labels)

    def assert_sealed(self, launched: Document) -> None:
        for one in launched["instances"]:
            zone = one["place"].partition(" ")[0]
            instance = Gcp(self._project).client(compute_v1.InstancesClient).get(project=self._project, zone=zone, instance=one["id"])
            assert "user-data" not in {item.key for item in instance.metadata.items}

    def left(self, name: str, value: str, region: str = "") -> list[str]:
        return gcpaccount.left(self._project, label=name, value=value)

    def _images(self) -> compute_v1.ImagesClient:
        return Gcp(self._project).client(compute_v1.ImagesClient)


@pytest.fixture(scope="module")
def account() -> Account:
    return Project()


class TestWholeWay(WholeWay):
    """On Compute Engine."""
