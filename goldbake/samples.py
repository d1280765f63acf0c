"""Values for `packer validate`: every variable of a cloud's template, none of which reaches anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from goldbake import proc
from goldbake.config.model import Cloud
from goldbake.packer import Value


class Samples(NamedTuple):
    """Variables and environment for `Packer.validate`."""

    variables: dict[str, Value]
    env: dict[str, str]


@contextmanager
def samples(cloud: Cloud, scripts: Path, *, checking: bool = False, signs: bool = False) -> Iterator[Samples]:
    """Sample values for the template of `cloud`, or of its check; `signs`: of an image for Secure Boot. Files that they name exist while the block
    runs.

    No credential of the user is read: Packer only checks what the templates say.
    """
    with TemporaryDirectory(prefix="goldbake-validate.") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        variables: dict[str, Value] = {"scripts_dir": str(scripts), "files_dir": str(folder / "files")}
        if checking:
            variables = {"check_folder": str(folder), "check_command": "true", "checking": True}
        env: dict[str, str] = {}
        if cloud is Cloud.LOCAL:
            key = folder / "key"
            proc.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key])
            variables |= {"ssh_port": 22, "ssh_private_key_file": str(key)}
        else:
            variables |= {"bake": "sample", "expires": "0", "fingerprint": "0" * 32}
            if not checking:
                variables |= {"manifest_file": str(folder / "made.json"), "image_manifest": str(folder / "manifest.json")}
        if cloud is Cloud.AWS:
            variables |= {"skip_credential_validation": True, "source_ami": "ami-00000000000000000"}
            env = {"AWS_ACCESS_KEY_ID": "sample", "AWS_SECRET_ACCESS_KEY": "sample", "AWS_EC2_METADATA_DISABLED": "true"}
        elif cloud is Cloud.GCP:
            variables |= {"project": "sample-project", "zone": "us-central1-a", "access_token": "sample"}
            if signs and not checking:
                variables |= {"signing_certificate": str(folder / "secure-boot.der"), "certificates_dir": str(folder)}
            variables |= {"source_image": "sample", "source_project": "sample-project", "source_features": '["UEFI_COMPATIBLE"]'}
        elif cloud is Cloud.AZURE:
            zero = "00000000-0000-0000-0000-000000000000"
            variables |= {
                "gallery_version": "0.0.1",
                "source_version": "0.0.1",
                "subscription_id": zero,
                "tenant_id": zero,
                "client_id": zero,
                "client_secret": "sample",
            }
        yield Samples(variables, env)
