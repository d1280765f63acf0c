"""Templates for Azure with everything that images.yaml can say, held against what the plugin's own configuration accepts.

Where tests run the plugin may be out of reach, and Packer 1.6.6 with its old builder knows neither all the arguments nor all the rules.
"""

import re

import pytest

from goldbake.config.azure import AzureSettings
from goldbake.config.model import Cloud
from goldbake.config.plugins import PLUGINS
from goldbake.render import render
from tests.unit.test_render import CONFIG, planned, with_image

SUBNET = "/subscriptions/22222222-aaaa-4bbb-8ccc-000000000002/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/builds/subnets/agents"
IDENTITY = "/subscriptions/22222222-aaaa-4bbb-8ccc-000000000002/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bakes"
EVERY: list[dict[str, object]] = [
    {},
    {"subnet": SUBNET, "address": "private"},
    {"subnet": SUBNET},
    {"ssh_from": ("192.0.2.0/24",)},
    {"security": "trusted-launch", "storage": "Premium_LRS", "replicas": 3},
    {"identities": (IDENTITY,), "spot": True, "vm_size": "Standard_NC4as_T4_v3"},
]

KNOWN = frozenset(
    re.findall(
        r"\w+",
        """
    subscription_id tenant_id client_id client_secret client_cert_path client_cert_password client_jwt use_azure_cli_auth location vm_size
    temp_resource_group_name temp_compute_name azure_tags os_type os_disk_size_gb public_ip_sku skip_create_image polling_duration_timeout
    security_type vtpm_enabled secure_boot_enabled user_assigned_managed_identities allowed_inbound_ip_addresses virtual_network_name
    virtual_network_resource_group_name virtual_network_subnet_name private_virtual_network_with_public_ip image_publisher image_offer
    image_sku image_version shared_gallery_image_version_exclude_from_latest shared_image_gallery_timeout managed_image_name
    managed_image_resource_group_name communicator ssh_username ssh_port ssh_timeout
    """,
    )
)
"""Arguments of azure-arm 2.6.3 that we may want (its builder/azure/arm/config.hcl2spec.go)."""
BLOCKS = {
    "spot": {"eviction_policy", "max_price"},
    "shared_image_gallery": {"subscription", "resource_group", "gallery_name", "image_name", "image_version"},
    "shared_image_gallery_destination": {
        *("subscription", "resource_group", "gallery_name", "image_name", "image_version", "storage_account_type", "replication_regions"),
    },
    "target_region": {"name", "replicas"},
}


def source(checking: bool, **changes: object) -> str:
    """The source of gpu-agent with other settings of Azure."""
    settings = AzureSettings.model_validate(changes)
    text = render(planned("gpu-agent", Cloud.AZURE, with_image(azure=settings)), checking=checking)["source.pkr.hcl"]
    return text[text.index('source "azure-arm"') :]


def blocks(text: str) -> dict[str, set[str]]:
    """Name of each block → its arguments; those of the source itself under an empty name. `dynamic` counts as the block that it makes."""
    found: dict[str, set[str]] = {"": set()}
    open_ones: list[str] = []
    for line in text.splitlines():
        word = line.strip()
        if opened := re.fullmatch(r'(?:source|(?P<dynamic>dynamic)|(?P<name>\w+))(?: "(?P<label>[\w-]+)")?(?: "\w+")? \{', word):
            name = opened["label"] if opened["dynamic"] else opened["name"] or ""
            open_ones.append(open_ones[-1] if name == "content" else name)
            found.setdefault(open_ones[-1], set())
        elif word == "}":
            open_ones.pop()
        elif given := re.match(r"(\w+) *= ", word):
            found[open_ones[-1]].add(given[1])
    found.get("spot", set()).discard("for_each")
    return found


def test_the_names_here_are_those_of_the_pinned_plugin() -> None:
    assert PLUGINS[Cloud.AZURE].version == "2.6.3", "compare KNOWN, BLOCKS and the tests below with the new version's config.go"


@pytest.mark.parametrize("checking", [False, True])
@pytest.mark.parametrize("settings", EVERY)
def test_the_plugin_knows_every_argument(settings: dict[str, object], checking: bool) -> None:
    found = blocks(source(checking, **settings))
    assert found.pop("") <= KNOWN
    for name, arguments in found.items():
        assert arguments <= BLOCKS[name], name


@pytest.mark.parametrize("checking", [False, True])
@pytest.mark.parametrize("settings", EVERY)
def test_the_plugin_accepts_what_is_said_together(settings: dict[str, object], checking: bool) -> None:
    found = blocks(source(checking, **settings))
    given = found[""]
    if "virtual_network_name" in given:
        assert {"virtual_network_resource_group_name", "virtual_network_subnet_name"} <= given
        assert not given & {"public_ip_sku", "allowed_inbound_ip_addresses"}, "its network is made already"
    assert "virtual_network_name" in given or "allowed_inbound_ip_addresses" in given, "else everybody may open SSH"
    assert ("image_publisher" in given) != ("shared_image_gallery" in found)
    assert ("shared_image_gallery_destination" in found) != checking
    assert "replicas" in found.get("target_region", {"replicas"})
    assert "build_resource_group_name" not in given


def test_a_build_in_a_subnet_of_ones_own_has_an_address_only_if_one_is_wanted() -> None:
    for address, public in (("private", "false"), ("public", "true")):
        text = source(False, subnet=SUBNET, address=address)
        assert re.search(rf"private_virtual_network_with_public_ip += {public}\n", text)
        assert re.search(r'virtual_network_resource_group_name += "net"\n', text)
        assert re.search(r'virtual_network_name += "builds"\n', text)
        assert re.search(r'virtual_network_subnet_name += "agents"\n', text)


def test_trusted_launch_is_a_virtual_tpm_without_secure_boot_for_build_and_check() -> None:
    for checking in (False, True):
        assert "security_type" not in source(checking)
        text = source(checking, security="trusted-launch")
        assert re.search(r'security_type += "TrustedLaunch"\n +vtpm_enabled += true\n +secure_boot_enabled += false\n', text)


def test_only_who_is_named_may_open_ssh() -> None:
    assert '"192.0.2.0/24",' in source(False, ssh_from=("192.0.2.0/24",))


def test_an_identity_and_a_size_are_those_of_images_yaml_also_in_the_check() -> None:
    for checking in (False, True):
        text = source(checking, identities=(IDENTITY,), vm_size="Standard_NC4as_T4_v3")
        assert f'"{IDENTITY}",' in text
        assert '"Standard_NC4as_T4_v3"' in text


def test_the_defaults_of_images_yaml_are_those_that_are_looked_at_here() -> None:
    assert CONFIG.images["gpu-agent"].azure == AzureSettings()
