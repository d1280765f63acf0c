"""Where user-data comes from: the right source is asked, in the right way, and no other."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from firstboot import fat, sources
from firstboot.errors import Problem

from tests.servers import closed_port
from tests.unit.firstboot.box import Box
from tests.unit.firstboot.metadata import Aws, Azure, Gcp, Metadata, serving

DATA = b'#cloud-config\n{"goldbake": {"organization": "foo", "pat": "p"}}'
AWS = {"sys_vendor": "Amazon EC2", "product_name": "g4dn.xlarge"}
AWS_XEN = {"sys_vendor": "Xen", "product_name": "HVM domU", "bios_version": "4.11.amazon"}
GCP = {"sys_vendor": "Google", "product_name": "Google Compute Engine"}
AZURE = {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}
HYPER_V = {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": "1234"}
QEMU = {"sys_vendor": "QEMU", "product_name": "Standard PC (Q35 + ICH9, 2009)"}


def firmware(box: Box, names: dict[str, str]) -> None:
    for name, value in names.items():
        box.write(f"sys/class/dmi/id/{name}", f"{value}\n")


def nobody_else(box: Box, cloud: str, url: str) -> None:
    """Only `cloud` has an address where something listens; any other fails the test by asking."""
    for name in ("aws", "gcp", "azure"):
        setattr(box.settings, name, (url,) if name == cloud else ())


@pytest.mark.parametrize(
    ("names", "cloud"), [(AWS, "aws"), (AWS_XEN, "aws"), (GCP, "gcp"), (AZURE, "azure"), (HYPER_V, ""), (QEMU, ""), ({}, "")]
)
def test_r06_the_firmware_says_which_cloud_it_is(box: Box, names: dict[str, str], cloud: str) -> None:
    firmware(box, names)
    assert sources.platform(box.settings) == cloud


@pytest.mark.parametrize(
    ("kind", "names", "cloud", "source", "instance"),
    [
        (Aws, AWS, "aws", "aws", "i-0123456789abcdef0"),
        (Gcp, GCP, "gcp", "gcp", "agent-7f3a"),
        (Azure, AZURE, "azure", "azure-userdata", "vm-3"),
    ],
)
def test_r06_each_cloud_is_asked_in_its_own_way(
    box: Box, kind: Callable[[bytes | None], Metadata], names: dict[str, str], cloud: str, source: str, instance: str
) -> None:
    firmware(box, names)
    with serving(kind(DATA)) as service:
        nobody_else(box, cloud, service.url)
        found = sources.find(box.settings)
    assert found is not None
    assert (found.source, found.data, found.instance_id) == (source, DATA, instance)


def test_r06_aws_is_asked_for_a_token_by_put_first_and_never_without_one(box: Box) -> None:
    firmware(box, AWS)
    with serving(Aws(DATA)) as service:
        nobody_else(box, "aws", service.url)
        sources.find(box.settings)
    assert service.asked == ["PUT /latest/api/token", "GET /latest/user-data", "GET /latest/meta-data/instance-id"]


@pytest.mark.parametrize(("kind", "names", "cloud"), [(Aws, AWS, "aws"), (Gcp, GCP, "gcp"), (Azure, AZURE, "azure")])
def test_r06_an_instance_without_user_data_is_not_configured(
    box: Box, kind: Callable[[bytes | None], Metadata], names: dict[str, str], cloud: str
) -> None:
    firmware(box, names)
    with serving(kind(None)) as service:
        nobody_else(box, cloud, service.url)
        assert box.boot() == 0
    assert box.status["phase"] == "not-configured"
    assert box.slept == []


@pytest.mark.parametrize(("kind", "names", "cloud"), [(Aws, AWS, "aws"), (Gcp, GCP, "gcp"), (Azure, AZURE, "azure")])
def test_a_metadata_service_that_is_late_is_waited_for(
    box: Box, kind: Callable[[bytes | None, int], Metadata], names: dict[str, str], cloud: str
) -> None:
    firmware(box, names)
    with serving(kind(DATA, 2)) as service:
        nobody_else(box, cloud, service.url)
        found = sources.find(box.settings)
    assert found is not None
    assert found.data == DATA
    assert len(box.slept) == 2


def test_a_metadata_service_that_is_away_is_named_and_waited_for_within_bounds(box: Box) -> None:
    firmware(box, AWS)
    nobody_else(box, "aws", closed_port())
    now = [0.0]
    box.settings.monotonic = lambda: now[0]
    box.settings.sleep = lambda seconds: now.__setitem__(0, now[0] + seconds + 1)
    assert box.boot() == 25
    assert (box.status["phase"], box.status["error"]) == ("failed", "metadata")
    assert "refused" in box.status["reason"]
    assert now[0] < box.settings.metadata_budget_s + 5


def test_r06_aws_by_ipv6_is_the_second_address(box: Box) -> None:
    firmware(box, AWS)
    with serving(Aws(DATA)) as service:
        box.settings.aws = (closed_port(), service.url)
        found = sources.find(box.settings)
    assert found is not None
    assert found.data == DATA


def test_r06_an_answer_without_googles_flavor_is_nobodys(box: Box) -> None:
    class Portal(Gcp):
        flavor = "hotel"

    firmware(box, GCP)
    box.settings.metadata_budget_s = 0
    with serving(Portal(DATA)) as service:
        nobody_else(box, "gcp", service.url)
        with pytest.raises(Problem, match="not from Google") as caught:
            sources.find(box.settings)
    assert caught.value.kind == "metadata"


def test_r06_azure_user_data_comes_before_custom_data(box: Box) -> None:
    firmware(box, AZURE)
    box.write("var/lib/waagent/CustomData", base64.b64encode(b"other"))
    with serving(Azure(DATA)) as service:
        nobody_else(box, "azure", service.url)
        found = sources.find(box.settings)
    assert found is not None
    assert found.data == DATA


OVF = """<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="http://schemas.microsoft.com/windowsazure">
<ns1:ProvisioningSection><ns1:LinuxProvisioningConfigurationSet><ns1:UserPassword>REDACTED</ns1:UserPassword>
<ns1:CustomData>{}</ns1:CustomData></ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection></ns0:Environment>
"""


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("var/lib/cloud/instances/x/user-data.txt", DATA),
        ("var/lib/waagent/CustomData", base64.b64encode(DATA)),
        ("var/lib/waagent/CustomData", DATA),
        ("var/lib/waagent/ovf-env.xml", OVF.format(base64.encodebytes(DATA).decode()).encode()),
    ],
)
def test_r06_azure_custom_data_is_found_where_the_guest_agents_leave_it(box: Box, path: str, content: bytes) -> None:
    firmware(box, AZURE)
    box.write(path, content)
    if "instances" in path:
        (box.root / "var/lib/cloud/instance").symlink_to("instances/x")
    with serving(Azure(None)) as service:
        nobody_else(box, "azure", service.url)
        found = sources.find(box.settings)
    assert found is not None
    assert (found.source, found.data, found.instance_id) == ("azure-customdata", DATA, "vm-3")


def test_r06_a_seed_folder_comes_first_on_any_machine(box: Box) -> None:
    firmware(box, AWS)
    nobody_else(box, "", "")
    box.seed({"organization": "foo", "pat": "p"}, instance="c-1")
    found = sources.find(box.settings)
    assert found is not None
    assert (found.source, found.instance_id) == ("nocloud-folder", "c-1")


def test_a_container_does_not_ask_its_hosts_metadata_service(box: Box) -> None:
    firmware(box, AWS)
    box.write("run/systemd/container", "systemd-nspawn\n")
    with serving(Aws(DATA)) as service:
        nobody_else(box, "aws", service.url)
        assert sources.find(box.settings) is None
    assert service.asked == []


@pytest.mark.parametrize(
    "line",
    ["instance-id: vm-1", "instance-id: 'vm-1'", '"instance-id": "vm-1",', "  instance-id:   vm-1  ", "a: b\ninstance-id: vm-1\nc: d"],
)
def test_the_instance_id_is_one_line_of_meta_data(box: Box, line: str) -> None:
    box.seed({"organization": "foo"})
    box.write("var/lib/cloud/seed/nocloud/meta-data", f"{line}\n")
    found = sources.find(box.settings)
    assert found is not None
    assert found.instance_id == "vm-1"


def test_without_an_instance_id_there_is_no_name(box: Box) -> None:
    box.seed({"organization": "foo", "pat": "p"})
    (Path(box.settings.seed) / "meta-data").unlink()
    assert box.boot() == 10
    assert "no instance id" in box.status["reason"]


def test_r06_a_machine_that_was_told_nothing_is_not_configured(box: Box) -> None:
    firmware(box, QEMU)
    assert box.boot() == 0
    assert box.status["phase"] == "not-configured"
    assert box.phases == ["started", "not-configured"]
    assert box.systemctl_calls == []


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hello\n", "#cloud-config\nusers: []\n", "Content-Type: multipart/mixed\n"])
def test_r06_somebody_elses_user_data_is_left_alone(box: Box, text: str) -> None:
    box.seed(text=text)
    assert box.boot() == 0
    assert box.status["phase"] == "not-configured"
    assert "is not goldbake's" in box.status["reason"]
    assert (Path(box.settings.seed) / "user-data").read_text() == text


# The seed disk


def make_disk(path: Path, *options: str, kib: int = 1024, label: str = "cidata", files: dict[str, bytes]) -> None:
    """As the launcher makes it: mtools on a file."""
    if shutil.which("mformat") is None:
        pytest.skip("mtools is not installed (apt-get install mtools)")
    path.write_bytes(b"\0" * (kib * 1024))
    subprocess.run(["mformat", "-i", path, "-v", label, *options, "::"], check=True)
    for name, content in files.items():
        source = path.parent / f"file-{name}"
        source.write_bytes(content)
        subprocess.run(["mcopy", "-i", path, source, f"::{name}"], check=True)


SEED = {"user-data": DATA, "meta-data": b"instance-id: vm-9\nlocal-hostname: vm-9\n"}


@pytest.mark.parametrize(
    ("options", "kib"), [((), 64), ((), 1024), (("-c", "4"), 16384), (("-F",), 40960), (("-M", "512", "-c", "1"), 4096)]
)
def test_r06_a_fat_disk_is_read_without_the_kernel(tmp_path: Path, options: tuple[str, ...], kib: int) -> None:
    large = bytes(range(256)) * 50
    make_disk(tmp_path / "disk", *options, kib=kib, files={"a-first-file-with-a-long-name": large, **SEED, "SHORT.TXT": b"short"})
    disk = (tmp_path / "disk").read_bytes()
    assert fat.label(disk).lower() == "cidata"
    assert fat.files(disk) == {"a-first-file-with-a-long-name": large, **SEED, "short.txt": b"short"}


def test_a_file_that_was_deleted_is_not_there(tmp_path: Path) -> None:
    make_disk(tmp_path / "disk", files={"gone-with-a-long-name": b"x", **SEED})
    subprocess.run(["mdel", "-i", tmp_path / "disk", "::gone-with-a-long-name"], check=True)
    assert fat.files((tmp_path / "disk").read_bytes()) == SEED


@pytest.mark.parametrize("size", [0, 100, 512, 513, 5000])
def test_a_broken_disk_is_no_fat(tmp_path: Path, size: int) -> None:
    make_disk(tmp_path / "disk", files=SEED)
    disk = (tmp_path / "disk").read_bytes()
    with pytest.raises(fat.NotFat):
        fat.files(disk[:size])
    for noise in (b"\0", b"\xff", b"\x55\xaa"):
        with pytest.raises(fat.NotFat):
            fat.files((noise * 512)[:512])


@pytest.mark.parametrize("label", ["cidata", "CIDATA"])
def test_r06_the_seed_disk_is_found_by_its_label(box: Box, label: str) -> None:
    firmware(box, QEMU)
    make_disk(box.root / "dev/vdb", label=label, files=SEED)
    (box.root / "dev/vda").write_bytes(b"\0" * 65536)
    for name in ("vda", "vdb", "loop0", "sr0"):
        (box.root / "sys/class/block" / name).mkdir()
    found = sources.find(box.settings)
    assert found is not None
    assert (found.source, found.data, found.instance_id, found.device) == ("nocloud-disk", DATA, "vm-9", str(box.root / "dev/vdb"))


def test_r06_the_seed_disk_that_udev_knows_is_taken(box: Box) -> None:
    make_disk(box.root / "dev/vdc", files=SEED)
    box.write("dev/disk/by-label/x", "").unlink()
    (box.root / "dev/disk/by-label/CIDATA").symlink_to("../../vdc")
    found = sources.find(box.settings)
    assert found is not None
    assert found.device == str(box.root / "dev/vdc")


def test_a_seed_disk_that_udev_makes_late_is_waited_for(box: Box) -> None:
    make_disk(box.root / "later", files=SEED)
    here = box.root
    box.settings.udevadm = (box.program("udevadm", f'#!/bin/sh\nmv "{here}/later" "{here}/dev/vdb"; mkdir "{here}/sys/class/block/vdb"\n'),)
    found = sources.find(box.settings)
    assert found is not None
    assert found.instance_id == "vm-9"


def test_an_iso_seed_is_mounted_read_only(box: Box) -> None:
    """Other tools write ISO 9660 (cloud-localds); the mount itself is the kernel's work, so the programs are stand-ins here."""
    head = bytearray(40000)
    head[32769:32774] = b"CD001"
    head[32808:32814] = b"cidata"
    box.write("dev/sr0", bytes(head))
    (box.root / "sys/class/block/sr0").mkdir()
    box.settings.mount = (
        box.program(
            "mount",
            f'#!/bin/sh\necho "$*" >"{box.root}/mounted"; printf "instance-id: iso-1\\n" >"$4/meta-data"; cp "{box.root}/data" "$4/user-data"\n',
        ),
    )
    box.settings.umount = (box.program("umount", f'#!/bin/sh\nrm "$1"/*; echo done >"{box.root}/unmounted"\n'),)
    box.write("data", DATA)
    found = sources.find(box.settings)
    assert found is not None
    assert (found.data, found.instance_id) == (DATA, "iso-1")
    assert (box.root / "mounted").read_text().startswith("-o ro,nosuid,nodev,noexec ")
    assert (box.root / "unmounted").exists()


def test_a_seed_disk_that_cannot_be_mounted_is_named(box: Box) -> None:
    head = bytearray(40000)
    head[32769:32774] = b"CD001"
    head[32808:32814] = b"CIDATA"
    box.write("dev/sr0", bytes(head))
    (box.root / "sys/class/block/sr0").mkdir()
    box.settings.mount = ("false",)
    assert box.boot() == 25
    assert box.status["reason"] == "the seed disk cannot be mounted"


@pytest.mark.parametrize("path", ["agent", "var/lib/waagent/Microsoft.VisualStudio.Services.TeamServicesAgentLinux-1.23.0.0"])
def test_a_machine_of_azures_scale_set_is_refused(box: Box, given: dict[str, Any], path: str) -> None:
    (box.root / path).mkdir(parents=True)
    box.seed(given)
    assert box.boot() == 17
    assert (box.status["phase"], box.status["error"]) == ("failed", "scale-set")
    assert box.phases == ["started", "failed"]
    assert (Path(box.settings.seed) / "user-data").exists()
