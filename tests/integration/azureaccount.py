"""The subscription that the tests of Azure use: the fake's, or a real one with `GOLDBAKE_REAL_AZURE=1`.

A real run needs credentials of azure-identity's default chain, `AZURE_SUBSCRIPTION_ID`, the gallery that images.yaml names, an organization in
`AZP_URL` with `AZP_TOKEN`, and costs money: one build VM for at most an hour and three GPU VMs of the cheapest size
(`GOLDBAKE_REAL_AZURE_SIZE`, by default Standard_NC4as_T4_v3) for at most 30 minutes, below 3 US dollars in all at the prices of 2026, and one image
version for the minutes until the test removes it. Every resource carries the tags and the end that `./inv reap --cloud azure` goes by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure.session import Azure
from tests.fakes.azure import FakeAzure

IS_REAL = os.environ.get("GOLDBAKE_REAL_AZURE") == "1"
REAL_TTL_S = 1800
REAL_SIZE = os.environ.get("GOLDBAKE_REAL_AZURE_SIZE", "Standard_NC4as_T4_v3")

only_real = pytest.mark.skipif(not IS_REAL, reason="costs money: set GOLDBAKE_REAL_AZURE=1, see tests/integration/azureaccount.py")
only_fake = pytest.mark.skipif(IS_REAL, reason="needs what only the fake can do")

_KEPT = ("microsoft.compute/galleries", "microsoft.compute/galleries/images")
"""What a bake makes once, and what stays."""
_VERSION = "microsoft.compute/galleries/images/versions"


def left(*, images: bool = False, tag: str = "managed-by", value: str = "goldbake") -> list[str]:
    """What the list calls of Resource Manager show of ours: resource groups, and everything else with the tag; with `images` also image versions."""
    resources = Azure().client(ResourceManagementClient)
    wanted = f"tagName eq '{tag}' and tagValue eq '{value}'"
    found = [f"group {one.name}" for one in resources.resource_groups.list(filter=wanted)]
    for one in resources.resources.list(filter=wanted):
        kind = str(one.type).lower()
        if kind not in _KEPT and (images or kind != _VERSION):
            found.append(f"{one.type} {one.name}")
    return sorted(found)


@contextmanager
def environment(fake: FakeAzure) -> Iterator[pytest.MonkeyPatch]:
    """This process and its children ask the fake, and nothing of this machine's own configuration counts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AZURE_", "ARM_"))]:
            patch.delenv(name)
        for name, value in fake.environment().items():
            patch.setenv(name, value)
        yield patch
