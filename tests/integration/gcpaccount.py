"""The project that the tests of Google Cloud use: the fake's, or a real one with `GOLDBAKE_REAL_GCP=1`.

A real run needs application default credentials, `GOOGLE_CLOUD_PROJECT`, an organization in `AZP_URL` with `AZP_TOKEN`, and costs money: one build
instance for at most an hour and three GPU instances of the cheapest type (`GOLDBAKE_REAL_GCP_TYPE`, by default n1-standard-4 with a T4) for at
most 30 minutes, below 3 US dollars in all at the prices of 2026, and one image for the minutes until the test removes it. Every resource carries the
labels and the end that `./inv reap --cloud gcp` goes by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp import role
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import Gcp
from tests.fakes.gcp import FakeGcp

IS_REAL = os.environ.get("GOLDBAKE_REAL_GCP") == "1"
REAL_TTL_S = 1800
REAL_TYPE = os.environ.get("GOLDBAKE_REAL_GCP_TYPE", "n1-standard-4+1xnvidia-tesla-t4")

only_real = pytest.mark.skipif(not IS_REAL, reason="costs money: set GOLDBAKE_REAL_GCP=1, see tests/integration/gcpaccount.py")
only_fake = pytest.mark.skipif(IS_REAL, reason="needs what only the fake can do")

_MINE = "labels.managed-by = goldbake"


def left(project: str, *, images: bool = False, label: str = "", value: str = "") -> list[str]:
    """What the list calls of Compute Engine show of ours: instances, disks, addresses, firewall rules; with `images` also
    images. With `label` only what has it.

    A build machine's disk has no labels and a firewall rule cannot have any: both count by their name, `goldbake-ID`, unless `label` is none that
    has an id.
    """
    gcp = Gcp(project)
    wanted = f"({_MINE})" + (f" (labels.{label} = {value})" if label else "")
    named = f'name eq "goldbake-{value}.*"' if label in ("", "goldbake-launch", "goldbake-bake") else wanted

    def everywhere(kind: type[Any], key: str, filter: str) -> Iterator[str]:
        for _, part in gcp.client(kind).aggregated_list(request={"project": project, "filter": filter}):
            yield from (one.name for one in getattr(part, key))

    found = {f"instance {name}" for text in (wanted, named) for name in everywhere(compute_v1.InstancesClient, "instances", text)}
    found |= {f"disk {name}" for text in (wanted, named) for name in everywhere(compute_v1.DisksClient, "disks", text)}
    found |= {f"address {name}" for name in everywhere(compute_v1.AddressesClient, "addresses", named)}
    if named != wanted:  # a list of firewall rules by label is refused
        firewalls = gcp.client(compute_v1.FirewallsClient).list(request={"project": project, "filter": named})
        found |= {f"firewall {one.name}" for one in firewalls}
    if images:
        kept = gcp.client(compute_v1.ImagesClient).list(request={"project": project, "filter": wanted})
        found |= {f"image {one.name}" for one in kept}
    return sorted(found)


@contextmanager
def environment(fake: FakeGcp) -> Iterator[pytest.MonkeyPatch]:
    """This process and its children ask the fake, and nothing of this machine's own configuration counts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("GOOGLE_", "CLOUDSDK_", "GCE_", "GCLOUD_"))]:
            patch.delenv(name)
        for name, value in fake.environment().items():
            patch.setenv(name, value)
        yield patch


@contextmanager
def least_rights(fake: FakeGcp, *purposes: Purpose) -> Iterator[None]:
    """Whoever asks the fake has what the role gives for these purposes, and nothing else."""
    fake.book.granted = frozenset(role.permissions(purposes))
    try:
        yield
    finally:
        fake.book.granted = None
