"""The two scripts that sign for Secure Boot, on the baked image's own modules: its kernel's program signs as DKMS lets it sign; then a whole bake."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from goldbake.paths import PROJECT
from tests.integration import cloudshop
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import building
from tests.shell.machine import UPLOADED, Machine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="an overlay over the image needs root")]

CERTIFICATE = "/usr/share/goldbake/secure-boot.der"
PRIVATE = "/run/goldbake-signing/key"
VARIABLES = {"GOLDBAKE_IMAGE": "gpu-agent"}
LINKS = ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der")
SIGN = f"""\
set -eu
sign=$(ls /usr/lib/linux-kbuild-*/scripts/sign-file)
for module in $(find /lib/modules -name 'nvidia*.ko' -path '*dkms*'); do
    $sign sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub $module
done
openssl x509 -inform DER -in {CERTIFICATE} -noout -text
"""


@pytest.fixture
def machine(baked_image: BakedImage, tmp_path: Path) -> Machine:
    """The baked image, with the scripts where a bake has them."""
    uploaded = tmp_path / "scripts" / UPLOADED.lstrip("/") / "scripts"
    shutil.copytree(PROJECT / "image-scripts", uploaded, ignore=shutil.ignore_patterns("__pycache__"))
    return Machine(tmp_path / "machine", [tmp_path / "scripts", baked_image.root])


def test_modules_are_signed_by_the_certificate_that_stays_and_no_key_does(machine: Machine) -> None:
    machine.does("make-signing-key", VARIABLES)
    shown = machine.ok("sh", "-c", SIGN)
    assert "CN = goldbake gpu-agent modules" in shown
    assert "Code Signing" in shown
    said = machine.does("remove-signing-key", VARIABLES)
    assert "modules are signed by" in said
    assert not any(machine.exists(path) for path in (*LINKS, PRIVATE))
    assert machine.exists(CERTIFICATE)
    found = machine.run("grep", "-rlsE", "BEGIN (RSA |EC )?PRIVATE KEY", "/run", "/var/lib", "/usr/share/goldbake", "/root", "/etc/dkms")
    assert found.output == ""


def test_the_key_is_made_once_and_nobody_else_may_read_it(machine: Machine) -> None:
    machine.does("make-signing-key", VARIABLES)
    before = machine.ok("sha256sum", PRIVATE, CERTIFICATE)
    machine.does("make-signing-key", VARIABLES)
    assert machine.ok("sha256sum", PRIVATE, CERTIFICATE) == before
    assert machine.ok("stat", "-c", "%a %U", "/run/goldbake-signing").split() == ["700", "root"]
    assert machine.ok("readlink", *LINKS).split() == [PRIVATE, CERTIFICATE] * 2


def test_a_module_that_another_key_has_signed_is_told(machine: Machine) -> None:
    """As DKMS does where it does not find our key, or no program that signs."""
    machine.does("make-signing-key", VARIABLES)
    said = machine.fails("remove-signing-key", VARIABLES)
    assert "not by this bake's key" in said
    assert machine.exists(PRIVATE)


def test_without_a_certificate_the_order_is_told(machine: Machine) -> None:
    assert "make-signing-key comes before install-driver" in machine.fails("remove-signing-key", VARIABLES)


SIGNED = f"""
# The driver of this image is built already: its modules get the signature that DKMS gives to those that it builds.
for module in $(find /lib/modules -name 'nvidia*.ko' -path '*dkms*'); do
    /usr/lib/linux-kbuild-*/scripts/sign-file sha256 {PRIVATE} {CERTIFICATE} "$module"
done
"""


@pytest.mark.timeout(900)
def test_packer_starts_with_secure_boot_and_puts_the_certificates_into_the_image(baked_image: BakedImage, tmp_path: Path) -> None:
    """Without the checks: no container has firmware with Secure Boot."""
    shop = cloudshop.make(tmp_path, baked_image, Cloud.GCP, "{region: us-central1}")
    described = shop.shop.project / "images.yaml"
    described.write_text(described.read_text().replace("    os: debian-12\n", "    os: debian-12\n    secure_boot: true\n", 1))
    script = shop.shop.project / "image-scripts" / "install-driver.sh"
    script.write_text(script.read_text() + SIGNED)
    with building(tmp_path / "world", baked_image.root) as made:
        ended = shop.shop.bake("--cloud", "gcp", "--image", shop.image)
        assert ended.code == 0, ended.stderr
        (instance,) = [call.body for call in made.fake.calls if call.method == "compute.instances.insert"]
        (image,) = [call.body for call in made.fake.calls if call.method == "compute.images.insert"]
        assert made.fake.crashes == []
    assert instance["shieldedInstanceConfig"]["enableSecureBoot"] is True
    own, *others = [base64.b64decode(one["content"]) for one in image["shieldedInstanceInitialState"]["dbs"]]
    assert f"goldbake {shop.image} modules".encode() in own
    names = ("microsoft-uefi-ca-2011.der", "microsoft-uefi-ca-2023.der")
    known = [(PROJECT / "packer" / "certificates" / name).read_bytes() for name in names]
    assert [hashlib.sha256(one).hexdigest() for one in others] == [hashlib.sha256(one).hexdigest() for one in known]
    assert {one["fileType"] for one in image["shieldedInstanceInitialState"]["dbs"]} == {"X509"}
    assert set(image["shieldedInstanceInitialState"]) == {"dbs"}
