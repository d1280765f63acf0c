"""A whole bake of a version in a Compute Gallery: Debian's Packer, which has a builder for Azure inside, against the fake subscription, the scripts in a
container that stands for the build VM."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure import role
from goldbake.clouds.azure.resources import parts
from goldbake.clouds.azure.role import Purpose
from goldbake.clouds.azure.session import Azure
from goldbake.config.model import Cloud
from goldbake.paths import PROJECT
from goldbake.records import ImageRecord
from tests.fakes.azure import SECRET, FakeAzure
from tests.integration import azureaccount, cloudbake, cloudshop, oldpacker
from tests.integration.azureworld import ResourceManager, make_gallery
from tests.integration.cloudbake import FirstBake, NextBakes
from tests.integration.cloudworld import NEEDS
from tests.integration.conftest import BakedImage
from tests.integration.world import world

pytestmark = [*NEEDS, azureaccount.only_fake]

LOCATION = "eastus"
BASE = "Debian:debian-12:12-gen2:0.20261102.2277"
SETTINGS = f"{{location: {LOCATION}, resource_group: images, gallery: agents, copies: [{{region: westeurope}}]}}"
WAAGENT = """\
#!/bin/sh
# Azure's own agent, as far as a bake needs it: -deprovision+user takes the last user away, and what the machine was.
[ "$*" = "-force -deprovision+user" ] || exit 64
userdel --force --remove packer 2>/dev/null
rm -f /etc/sudoers.d/90-cloud-init-users /etc/ssh/ssh_host_*
rm -rf /var/lib/cloud /var/lib/waagent
"""


class Field(cloudbake.Field[FakeAzure]):
    """A subscription of Azure."""

    base = BASE
    region = LOCATION
    secret = SECRET

    def left(self, *, images: bool = True) -> list[str]:
        return azureaccount.left(images=images)

    def changes(self) -> list[str]:
        return self.fake.titles()

    def assert_kept(self, baked: ImageRecord) -> None:
        assert azureaccount.left(images=True) == [
            f"Microsoft.Compute/galleries/images/versions agents/{self.shop.image}/{parts(baked.artifact).name}"
        ]
        assert azureaccount.left(images=True, tag="goldbake-bake", value="") == []
        assert baked.copies == {"westeurope": baked.artifact}

    def tags(self, baked: ImageRecord) -> list[Mapping[str, str]]:
        of = parts(baked.artifact)
        return [self._versions().get(of.group, *of.names).tags or {}]

    def remove(self, artifact: str) -> None:
        of = parts(artifact)
        self._versions().begin_delete(of.group, *of.names).result()

    def assert_building(self) -> None:
        assert any(one.startswith("group goldbake-bake-") for one in self.left())

    def _versions(self) -> Any:
        return Azure().client(ComputeManagementClient).gallery_image_versions


@pytest.fixture(scope="session")
def old_packer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oldpacker.unpacked(tmp_path_factory.mktemp("old-packer"))


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, old_packer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("azure-bake")
    agent = folder / "agent" / "usr" / "sbin" / "waagent"
    agent.parent.mkdir(parents=True)
    agent.write_text(WAAGENT)
    agent.chmod(0o755)
    shop = cloudshop.make(folder, baked_image, Cloud.AZURE, SETTINGS)
    told = oldpacker.adopt(shop.shop, old_packer)
    with FakeAzure() as fake, azureaccount.environment(fake) as patch, world(ResourceManager(fake), folder / "world") as machines:
        host, port = machines.open_ssh()
        fake.book.address_of = lambda _: host
        for name, value in (told | {"PKR_VAR_ssh_port": str(port), "PKR_VAR_reboot_pause": "10s"}).items():
            patch.setenv(name, value)
        machines.stands_for(BASE.lower(), [folder / "agent", baked_image.root])
        make_gallery("images", "agents", LOCATION)
        # nothing but the role; and what only 1.6.6 makes on the way to a version
        fake.book.granted = [*role.actions([Purpose.BAKE, Purpose.DESTROY]), "Microsoft.Compute/images/write"]
        yield Field(fake, machines, shop)


@pytest.fixture(scope="module")
def baked(field: Field) -> ImageRecord:
    """The first bake; whoever asks for it first pays for it."""
    return field.shop.baked()


class TestFirstBake(FirstBake):
    """A version in a Compute Gallery."""


def test_everything_that_a_bake_made_had_its_tags_from_the_create_call_on(field: Field, baked: ImageRecord) -> None:
    groups = [
        call for call in field.fake.calls if call.title == "PUT Microsoft.Resources/resourceGroups" and "/goldbake-" in call.path.lower()
    ]
    assert len(groups) == 2  # the build and the check
    machines = [one for call in field.fake.calls if call.method == "PUT" for one in deployed(call.body)]
    assert [one["type"] for one in machines].count("Microsoft.Compute/virtualMachines") == 2
    for tags in [*(call.body["tags"] for call in groups), *(one["tags"] for one in machines)]:
        assert {"managed-by", "goldbake-bake", "goldbake-image", "goldbake-expires"} <= set(tags)


def deployed(body: Any) -> list[dict[str, Any]]:
    """The resources of a deployment's template."""
    template = (body or {}).get("properties", {}).get("template", {})
    found: list[dict[str, Any]] = template.get("resources", [])
    return found


def test_latest_means_the_version_only_once_it_is_checked(field: Field, baked: ImageRecord) -> None:
    changes = [
        call.body["properties"]["publishingProfile"].get("excludeFromLatest", False)
        for call in field.fake.calls
        if call.method == "PUT" and call.what.lower().endswith("images/versions")
    ]
    assert changes[0] is True
    assert changes[1:]
    assert changes[-1] is False
    deleted = [index for index, call in enumerate(field.fake.calls) if call.method == "DELETE" and "goldbake-check-" in call.path.lower()]
    finished = [
        index
        for index, call in enumerate(field.fake.calls)
        if call.method == "PUT"
        and call.what.lower().endswith("images/versions")
        and not call.body["properties"]["publishingProfile"].get("excludeFromLatest", False)
    ]
    assert deleted
    assert min(finished) > min(deleted), "the check was still going on"


def test_a_version_with_a_red_check_goes_and_the_latest_stays(field: Field, baked: ImageRecord) -> None:
    field.bake_spoilt(SETTINGS.replace("copies: [{region: westeurope}]", f"definition: {field.shop.image}"))
    assert field.left(images=False) == []
    assert len(field.left()) == 1
    assert [one.artifact for one in field.shop.records()] == [baked.artifact]


class TestNextBakes(NextBakes):
    """On Azure."""


def test_the_reduced_template_is_the_whole_one_without_lines_that_are_named() -> None:
    """Nothing is added or changed, and every line that lacks belongs to an argument or a block that 1.6.6 does not know."""
    lacking: set[str] = set()
    for file in sorted((PROJECT / "tests" / "golden").glob("*/azure*/*.pkr.hcl")):
        whole = file.read_text().splitlines()
        for line in difflib.ndiff(whole, oldpacker.reduced(file.read_text()).splitlines()):
            assert not line.startswith("+ "), (file, line)
            if line.startswith("- "):
                lacking.add(line[2:].strip())
    names = {found[0] for line in lacking if (found := re.match(r"[a-z_]+(?= *=)|dynamic \"spot\"|target_region|validation", line))}
    inside = {"name", "replicas", "for_each", "eviction_policy", "max_price", "condition", "error_message"}
    blocks = {'dynamic "spot"', "target_region", "validation"}
    assert names - inside == {"client_cert_password", "skip_create_image", "storage_account_type"} | blocks
