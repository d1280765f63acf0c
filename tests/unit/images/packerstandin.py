"""A Packer that builds and checks as the real one with its plugin does, by the same calls to EC2, in this process."""

from __future__ import annotations

import json
import shlex
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from goldbake.check import FailedCheck, report_of
from goldbake.errors import BakeError
from goldbake.packer import Value

Failing = Callable[[Mapping[str, Value]], None]


class PackerStandIn:
    """`builds` are the variables of every build in order; what is to go wrong is set by a test."""

    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2
        self.builds: list[dict[str, Value]] = []
        self.environments: list[dict[str, str]] = []
        self.red: tuple[FailedCheck, ...] = ()
        self.leaves = False
        """It ends without removing what it has made."""
        self.provision: Failing = lambda variables: None
        """Called while the instance runs."""
        self.artifact_id: str | None = None
        """What the manifest says instead of the image."""

    def version(self) -> str:
        return "1.16.0"

    def build(
        self,
        folder: Path,
        variables: Mapping[str, Value],
        on_line: Callable[[str], None],
        *,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        grace: float = 0,
    ) -> None:
        assert list(folder.glob("*.pkr.hcl"))
        self.builds.append(dict(variables))
        self.environments.append(dict(env or {}))
        ec2 = self._ec2
        tags = [{"Key": "goldbake-bake", "Value": variables["bake"]}, {"Key": "goldbake-expires", "Value": variables["expires"]}]
        key = ec2.create_key_pair(KeyName=f"packer_{uuid.uuid4()}", KeyType="ed25519", TagSpecifications=_tagged(tags, "key-pair"))
        instance = ""
        try:
            instance = self._start(ec2, variables, tags)
            self.provision(variables)
            if variables.get("checking"):
                self._check(variables)
            else:
                self._image(ec2, instance, variables, tags)
        finally:
            if not self.leaves:
                if instance:
                    ec2.terminate_instances(InstanceIds=[instance])
                ec2.delete_key_pair(KeyPairId=key["KeyPairId"])

    def _start(self, ec2: Any, variables: Mapping[str, Value], tags: list[Any]) -> str:
        market = {"InstanceMarketOptions": {"MarketType": "spot"}} if variables.get("spot") else {}
        try:
            started = ec2.run_instances(
                ImageId=variables["source_ami"],
                InstanceType="c7i.xlarge",
                SubnetId=variables["subnet_id"],
                MinCount=1,
                MaxCount=1,
                TagSpecifications=_tagged(tags, "instance", "volume", "network-interface"),
                **market,
            )
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            said = f"==> Error launching source instance: operation error EC2: RunInstances, api error {code}: {message}"
            raise BakeError(f"packer could not build (packer exited with 1); its last lines:\n    {said}", hint="again") from error
        return str(started["Instances"][0]["InstanceId"])

    def _image(self, ec2: Any, instance: str, variables: Mapping[str, Value], tags: list[Any]) -> None:
        made = ec2.create_image(
            InstanceId=instance, Name=f"agents-{variables['bake']}", TagSpecifications=_tagged(tags, "image", "snapshot")
        )
        inputs = json.loads((Path(str(variables["files_dir"])) / "manifest.json").read_text())
        inside = inputs | {"kernels": ["6.1.0-50-cloud-amd64"], "packages": {"git": "2.39"}}
        Path(str(variables["image_manifest"])).write_text(json.dumps(inside, indent=2) + "\n")
        told = f"us-east-1:{made['ImageId']}" if self.artifact_id is None else self.artifact_id
        runs = [{"packer_run_uuid": "old", "artifact_id": "us-east-1:ami-old"}, {"packer_run_uuid": "new", "artifact_id": told}]
        Path(str(variables["manifest_file"])).write_text(json.dumps({"builds": runs, "last_run_uuid": "new"}))

    def _check(self, variables: Mapping[str, Value]) -> None:
        words = shlex.split(str(variables["check_command"]))
        folder = Path(words[words.index("--folder") + 1])
        assert folder.stat().st_mode & 0o077 == 0
        assert json.loads((folder / "expect.json").read_text())["kernels"]
        report = report_of(["agent.is_there"], self.red, [], 1.0)
        (folder / "report.json").write_text(json.dumps(report.document()))


def _tagged(tags: list[Any], *kinds: str) -> list[Any]:
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]
