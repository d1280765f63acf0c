"""Nothing of the bake, and nothing that must differ between two machines, is in the image."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import pytest
from facts import Facts


def is_public(uri: str) -> bool:
    """Whether a machine elsewhere could reach this address by its name alone."""
    name = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        return "." in name and not name.endswith((".local", ".internal", ".lan", ".localdomain"))


@pytest.mark.pristine
def test_machine_id_is_empty(pristine: Facts) -> None:
    """`uninitialized` is systemd's own word for one that the first boot fills."""
    assert [row for row in pristine.table("machine_ids") if row[1] != "uninitialized"] == []


@pytest.mark.pristine
def test_there_are_no_ssh_host_keys(pristine: Facts) -> None:
    assert pristine.lines("host_keys") == []


@pytest.mark.pristine
def test_nobody_may_log_in_by_key(pristine: Facts) -> None:
    assert pristine.lines("authorized_keys") == []


@pytest.mark.image
def test_nobody_has_a_password(image: Facts) -> None:
    assert image.lines("passwords") == []


@pytest.mark.image
def test_there_is_no_module_signing_key(image: Facts) -> None:
    """DKMS makes one by itself (dkms 3.0.10, sbin/dkms:938): who has it can sign modules that every machine of this image trusts."""
    assert image.lines("signing_keys") == []


@pytest.mark.pristine
def test_there_is_no_other_private_key(pristine: Facts) -> None:
    assert pristine.lines("private_keys") == []


@pytest.mark.pristine
def test_cloud_init_has_not_run(pristine: Facts) -> None:
    assert pristine.lines("cloud_init_state") == []


@pytest.mark.image
def test_nothing_of_packer_is_left(image: Facts) -> None:
    assert image.lines("packer_leftovers") == []


@pytest.mark.pristine
def test_temporary_folders_are_empty(pristine: Facts) -> None:
    assert pristine.lines("temporary_files") == []


@pytest.mark.pristine
def test_there_is_no_shell_history(pristine: Facts) -> None:
    assert pristine.lines("histories") == []


@pytest.mark.pristine
def test_logs_are_empty(pristine: Facts) -> None:
    assert pristine.lines("logs") == []


@pytest.mark.pristine
def test_there_are_no_downloaded_packages(pristine: Facts) -> None:
    assert pristine.lines("apt_downloads") == []


@pytest.mark.pristine
def test_there_is_no_random_seed(pristine: Facts) -> None:
    """Two machines would begin with the same one."""
    assert pristine.lines("random_seed") == []


@pytest.mark.image
def test_apt_asks_public_servers_only(image: Facts) -> None:
    """No mirror, no proxy and no file of the machine that baked."""
    found = re.findall(r"\b[a-z+]+:/[^\s\"';]+", image.text("apt_sources"))
    assert found, "apt has no source at all"
    assert [uri for uri in found if not is_public(uri)] == []
