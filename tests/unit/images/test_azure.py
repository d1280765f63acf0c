"""Azure's images: which base, what must be there before a bake, what a finished version says of itself, and what is removed."""

from __future__ import annotations

import datetime
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup

from goldbake import proc
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.azure import AzureSettings
from goldbake.config.model import Image, Os
from goldbake.errors import Exit, MissingError, UsageError
from goldbake.images.azure import AzureImages
from tests.fakes.azure import CLIENT, SECRET, SUBSCRIPTION, TENANT, FakeAzure, Resource, platform
from tests.unit.test_render import CONFIG

HOME = "eastus"
GROUP, GALLERY = "goldbake-images", "goldbake"
NOW = datetime.datetime(2026, 11, 28, 1, 2, 3, tzinfo=datetime.UTC)
RESULT = {"managed-by": "goldbake", "goldbake-image": "agents", "goldbake-fingerprint": "0123", "goldbake-checks": "passed"}
DEFINITION = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/{GALLERY}/images/agents"


def image(os: Os = Os.DEBIAN_12, disk_gib: int = 32, **azure: object) -> Image:
    return CONFIG.images["gpu-agent"].model_copy(update={"os": os, "disk_gib": disk_gib, "azure": AzureSettings.model_validate(azure)})


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Azure:
    return Azure()


@pytest.fixture
def side(azure: Azure) -> AzureImages:
    """Azure, without any pause, at a fixed time."""
    return AzureImages(azure, pause=lambda seconds: None, patience=60, now=NOW.timestamp)


@pytest.fixture
def calls(azure: Azure) -> ComputeManagementClient:
    return azure.client(ComputeManagementClient)


@pytest.fixture
def gallery(azure: Azure, calls: ComputeManagementClient) -> str:
    """A resource group with a gallery, as the how-to makes it."""
    azure.client(ResourceManagementClient).resource_groups.create_or_update(GROUP, ResourceGroup(location=HOME))
    calls.galleries.begin_create_or_update(GROUP, GALLERY, compute.Gallery(location=HOME)).result()
    return GALLERY


def baked(azure: Azure, side: AzureImages, fake: FakeAzure, version: str = "2026.1128.1", bake: str = "b1", **settings: object) -> str:
    """A version as Packer leaves it: with the tags of its bake, and not the latest."""
    side.make_ready("agents", image(**settings))
    name = f"on-its-way-{bake}"
    managed = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/images/{name}"
    body = {"location": HOME, "tags": {}, "properties": {"hyperVGeneration": "V2", "provisioningState": "Succeeded"}}
    fake.book.add(Resource(managed, "Microsoft.Compute/images", GROUP, (name,), body, memory={"size_gb": 32}))
    calls = azure.client(ComputeManagementClient)
    made = calls.gallery_image_versions.begin_create_or_update(
        GROUP,
        GALLERY,
        "agents",
        version,
        compute.GalleryImageVersion(
            location=HOME,
            tags={"managed-by": "goldbake", "goldbake-bake": bake, "goldbake-expires": "1", "goldbake-checks": "pending"},
            properties=compute.GalleryImageVersionProperties(
                publishing_profile=compute.GalleryImageVersionPublishingProfile(
                    exclude_from_latest=True, target_regions=[compute.TargetRegion(name=HOME)]
                ),
                storage_profile=compute.GalleryImageVersionStorageProfile(source=compute.GalleryArtifactVersionFullSource(id=managed)),
            ),
        ),
    ).result()
    fake.book.drop(managed)
    return str(made.id)


def version_of(calls: ComputeManagementClient, artifact: str, **more: Any) -> compute.GalleryImageVersion:
    return calls.gallery_image_versions.get(GROUP, GALLERY, "agents", artifact.rpartition("/")[2], **more)


# --- the base image


def test_the_newest_version_of_the_publisher_is_the_base(side: AzureImages) -> None:
    base = side.base(image())
    publisher, offer, sku, version = base.id.split(":")
    assert (publisher, offer, sku) == ("Debian", "debian-12", "12-gen2")
    assert version not in ("", "latest")
    assert base.created.startswith("20")
    assert side.source(base.id) == {"source_version": version}


def test_versions_are_compared_as_numbers(side: AzureImages, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = ("0.20260112.990", "0.20260112.1990")
    monkeypatch.setattr(platform, "PLATFORM", tuple(replace(one, versions=versions) for one in platform.PLATFORM))
    assert side.base(image()).id.endswith(":0.20260112.1990")
    assert side.base(image()).created == "2026-01-12"


def test_no_base_image_is_told_with_the_command_to_look(side: AzureImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "PLATFORM", ())
    with pytest.raises(MissingError, match=r"no base image of debian-12 in eastus.*Debian:debian-12:12-gen2") as caught:
        side.base(image())
    assert "az vm image list --location eastus --publisher Debian" in caught.value.hint


def test_a_base_image_with_a_purchase_plan_is_refused(side: AzureImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "PLATFORM", tuple(replace(one, plan=True) for one in platform.PLATFORM))
    with pytest.raises(MissingError, match="has a purchase plan"):
        side.base(image())


# --- where a build machine can be


def test_spot_is_tried_once_and_then_demand_with_the_same_version(side: AzureImages) -> None:
    first, second = side.attempts(image(spot=True))
    assert (first.place, first.spot, second.place, second.spot) == ("eastus (spot)", True, "eastus", False)
    assert first.variables["gallery_version"] == second.variables["gallery_version"] == "2026.1128.3723"


def test_a_bake_says_to_whom_ssh_is_open(side: AzureImages) -> None:
    subnet = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/builds/subnets/agents"
    given: list[dict[str, Any]] = [{}, {"ssh_from": ("192.0.2.0/24", "198.51.100.7/32")}, {"subnet": subnet}]
    reasons = [side.attempts(image(**one))[0].reason for one in given]
    assert reasons == [
        "Standard_D4s_v5 in a network of its own, SSH open to every address (azure.ssh_from names who may)",
        "Standard_D4s_v5 in a network of its own, SSH open to 192.0.2.0/24, 198.51.100.7/32",
        "Standard_D4s_v5 in subnet agents",
    ]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"vm_size": "Standard_D2ps_v5"}, "Standard_D2ps_v5 in eastus has a processor of another kind"),
        ({"vm_size": "Standard_B2s", "spot": True}, "Standard_B2s in eastus is never spare capacity"),
        (
            {"vm_size": "Standard_ND96asr_v4", "security": "trusted-launch"},
            "Standard_ND96asr_v4 in eastus cannot start with Trusted Launch",
        ),
    ],
)
def test_a_size_that_cannot_build_the_image_is_refused(side: AzureImages, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        side.attempts(image(**settings))
    assert "azure.vm_size" in caught.value.hint


def test_a_size_that_the_region_does_not_have_is_refused(side: AzureImages) -> None:
    with pytest.raises(UsageError, match="eastus has no VM size Standard_Q9") as caught:
        side.attempts(image(vm_size="Standard_Q9"))
    assert "az vm list-skus --location eastus --size Standard_Q9" in caught.value.hint


# --- before the bake


def test_a_gallery_that_is_not_there_is_told_with_the_commands_that_make_it(side: AzureImages) -> None:
    with pytest.raises(MissingError, match="no gallery goldbake in the resource group goldbake-images") as caught:
        side.make_ready("agents", image())
    assert "az sig create --resource-group goldbake-images --gallery-name goldbake --location eastus" in caught.value.hint


def test_the_first_bake_makes_the_definition_and_the_next_finds_it(
    side: AzureImages, calls: ComputeManagementClient, gallery: str, fake_azure: FakeAzure
) -> None:
    side.make_ready("agents", image())
    found = calls.gallery_images.get(GROUP, gallery, "agents")
    assert found.properties is not None
    assert (found.properties.hyper_v_generation, found.properties.os_state, found.properties.identifier.sku) == (
        "V2",
        "Generalized",
        "debian-12",
    )
    assert {feature.name: feature.value for feature in found.properties.features or ()}["DiskControllerTypes"] == "SCSI,NVMe"
    before = len([call for call in fake_azure.calls if call.method == "PUT"])
    side.make_ready("agents", image())
    assert len([call for call in fake_azure.calls if call.method == "PUT"]) == before


def test_a_definition_without_trusted_launch_is_refused_for_it(side: AzureImages, gallery: str) -> None:
    side.make_ready("agents", image())
    with pytest.raises(UsageError, match=r"agents of gallery goldbake has security type Standard.*trusted-launch") as caught:
        side.make_ready("agents", image(security="trusted-launch"))
    assert "azure.definition" in caught.value.hint
    side.make_ready("agents", image(security="trusted-launch", definition="agents-trusted"))


# --- what Packer is told and tells


def test_packer_acts_as_the_same_principal(side: AzureImages) -> None:
    assert side.environment() == {
        "AZURE_CONFIG_DIR": side.environment()["AZURE_CONFIG_DIR"],
        "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
        "ARM_TENANT_ID": TENANT,
        "ARM_CLIENT_ID": CLIENT,
        "ARM_CLIENT_SECRET": SECRET,
    }


def test_packer_gets_a_certificate_with_its_password_and_no_secret(side: AzureImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "cert.pfx")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", "locked")
    found = side.environment()
    assert (found["ARM_CLIENT_CERTIFICATE_PATH"], found["ARM_CLIENT_CERTIFICATE_PASSWORD"]) == ("cert.pfx", "locked")
    assert "ARM_CLIENT_SECRET" not in found


def test_a_certificate_that_only_the_sdk_can_read_is_refused_before_anything_costs(
    side: AzureImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(tmp_path / "cert"))
    (tmp_path / "cert").write_bytes(b"0\x82\x0a")
    side.require_tools(image())
    (tmp_path / "cert").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(MissingError, match="as PFX") as raised:
        side.require_tools(image())
    assert "openssl pkcs12 -export" in raised.value.hint


def test_without_a_principal_packer_is_a_managed_identity_or_who_has_signed_in(
    side: AzureImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.delenv("AZURE_TENANT_ID")
    monkeypatch.setattr(proc, "find", lambda name: Path("/usr/bin/az"))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    identity = {"AZURE_CONFIG_DIR": str(tmp_path), "ARM_SUBSCRIPTION_ID": SUBSCRIPTION, "ARM_CLIENT_ID": CLIENT}
    assert side.environment() == identity, "az is installed, and nobody has signed in with it"
    (tmp_path / "azureProfile.json").write_text(json.dumps({"subscriptions": [{"id": SUBSCRIPTION, "isDefault": True}]}))
    assert side.environment() == {name: identity[name] for name in identity if name != "ARM_CLIENT_ID"} | {"PKR_VAR_use_azure_cli": "true"}


def test_the_artifact_is_the_version_and_not_the_image_on_its_way(side: AzureImages) -> None:
    version = f"{DEFINITION}/versions/1.2.3"
    assert side.artifact({"artifact_id": "/subscriptions/x/…/images/m", "custom_data": {"artifact": version}}) == version
    with pytest.raises(ValueError, match="UNKNOWN"):
        side.artifact({"artifact_id": "UNKNOWN ID", "custom_data": {"artifact": version}})


def test_a_shortage_that_packer_tells_is_one_of_the_region(side: AzureImages) -> None:
    said = "packer could not build: ERROR: -> AllocationFailed : Allocation failed. We do not have sufficient capacity for the requested VM size."
    found = side.refusal(said, image(), spot=False)
    assert found is not None
    assert (found.code, found.scope, found.exit_code) == ("AllocationFailed", Scope.REGION, Exit.CAPACITY)
    assert side.refusal("packer could not build: Timeout waiting for SSH.", image(), spot=False) is None


# --- finished images


def test_a_checked_version_is_tagged_and_the_latest(
    azure: Azure, side: AzureImages, calls: ComputeManagementClient, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    assert version_of(calls, artifact).properties.publishing_profile.exclude_from_latest is True  # type: ignore[union-attr]
    side.finish(artifact, HOME, RESULT)
    found = version_of(calls, artifact)
    assert found.tags == RESULT
    assert found.properties.publishing_profile.exclude_from_latest is False  # type: ignore[union-attr]
    described = side.find(artifact, HOME)
    assert described is not None
    assert side.disk_bytes(described) == 32 * 2**30


def test_an_unchecked_version_is_never_the_latest(
    azure: Azure, side: AzureImages, calls: ComputeManagementClient, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    side.finish(artifact, HOME, RESULT | {"goldbake-checks": "none"})
    assert version_of(calls, artifact).properties.publishing_profile.exclude_from_latest is True  # type: ignore[union-attr]


def test_a_removed_version_is_not_found_and_can_be_removed_again(
    azure: Azure, side: AzureImages, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    side.remove(artifact, HOME)
    assert side.find(artifact, HOME) is None
    side.remove(artifact, HOME)


def test_a_version_that_could_not_be_made_is_not_there(azure: Azure, side: AzureImages, gallery: str, fake_azure: FakeAzure) -> None:
    artifact = baked(azure, side, fake_azure)
    held = fake_azure.book.find(artifact)
    assert held is not None
    held.state = "Failed"
    assert side.find(artifact, HOME) is None
    with pytest.raises(Failure, match="is gone, or could not be made"):
        side.finish(artifact, HOME, RESULT)


def test_a_region_that_was_not_reached_is_a_failure_with_its_name(
    azure: Azure, side: AzureImages, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    described = image(copies=[{"region": "westeurope"}])
    side.copy(described, "agents-1", artifact, "westeurope", RESULT)
    held = fake_azure.book.find(artifact)
    assert held is not None
    held.memory["replication"]["westeurope"] = "Replicating"
    assert side.copied(artifact, HOME, RESULT)
    held.memory["replication"]["westeurope"] = "Failed"
    with pytest.raises(Failure, match="was not replicated to westeurope") as caught:
        side.copied(artifact, "westeurope", RESULT)
    assert "azure.copies" in caught.value.hint


def test_all_regions_are_asked_for_at_once(
    azure: Azure, side: AzureImages, calls: ComputeManagementClient, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    described = image(copies=[{"region": "westeurope", "replicas": 2}, {"region": "westus2"}])
    assert side.copies(described) == ("westeurope", "westus2")
    for region in side.copies(described):
        assert side.copy(described, "agents-1", artifact, region, RESULT) == artifact
    profile = version_of(calls, artifact).properties.publishing_profile  # type: ignore[union-attr]
    found = {target.name.replace(" ", "").lower(): target.regional_replica_count for target in profile.target_regions or ()}  # type: ignore[union-attr]
    assert (found["westeurope"], found["westus2"]) == (2, 1)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("LROPoller(")] == [], (
        "`copied` looks, and nobody else"
    )


def test_an_end_of_life_is_set_and_taken_back(
    azure: Azure, side: AzureImages, calls: ComputeManagementClient, gallery: str, fake_azure: FakeAzure
) -> None:
    artifact = baked(azure, side, fake_azure)
    assert side.publishing(image()) == ""
    assert side.publishing(image(deprecate_after_days=30)) != side.publishing(image(deprecate_after_days=31)) != ""
    side.publish(image(deprecate_after_days=30), artifact, HOME)
    profile = version_of(calls, artifact).properties.publishing_profile  # type: ignore[union-attr]
    assert profile is not None
    assert profile.end_of_life_date is not None
    side.publish(image(), artifact, HOME)
    assert version_of(calls, artifact).properties.publishing_profile.end_of_life_date is None  # type: ignore[union-attr]


# --- what a bake leaves


def test_what_a_bake_left_is_found_by_its_tag_and_goes(azure: Azure, side: AzureImages, gallery: str, fake_azure: FakeAzure) -> None:
    artifact = baked(azure, side, fake_azure, bake="b1")
    other = baked(azure, side, fake_azure, version="2026.1128.2", bake="b2")
    tags = {"managed-by": "goldbake", "goldbake-bake": "b1", "goldbake-expires": "1"}
    azure.client(ResourceManagementClient).resource_groups.create_or_update("goldbake-bake-b1", ResourceGroup(location=HOME, tags=tags))
    assert side.leftovers("b1", image(), images=True) == ["resource group goldbake-bake-b1", f"image version {artifact.rpartition('/')[2]}"]
    assert side.leftovers("b1", image(), images=False) == ["resource group goldbake-bake-b1"]
    assert side.remove_leftovers("b1", image(), images=False) == []
    assert side.find(artifact, HOME) is not None
    assert side.remove_leftovers("b1", image(), images=True) == []
    assert side.find(artifact, HOME) is None
    assert side.find(other, HOME) is not None


def test_a_refusal_to_look_is_a_failure_with_its_code(side: AzureImages, fake_azure: FakeAzure) -> None:
    side.leftovers("b1", image(), images=True)  # the token is there
    fake_azure.refuse("AuthorizationFailed", status=403, times=20)
    with pytest.raises(Failure, match="AuthorizationFailed"):
        side.leftovers("b1", image(), images=True)
