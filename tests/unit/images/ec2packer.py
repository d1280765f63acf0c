"""Packer with plugin amazon, as a stand-in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from goldbake.packer import Value
from tests.unit.images.packerstandin import PackerStandIn


class Ec2Packer(PackerStandIn):
    """It makes a key pair, an instance and an AMI with its snapshot."""

    def __init__(self, ec2: Any) -> None:
        super().__init__()
        self._ec2 = ec2
        self._key = self._instance = ""
        self._tags: list[dict[str, Value]] = []

    def start(self, variables: Mapping[str, Value]) -> None:
        self._tags = [{"Key": f"goldbake-{name}", "Value": variables[name]} for name in ("bake", "expires")]
        self._instance = ""
        self._key = self._ec2.create_key_pair(
            KeyName=f"packer_{uuid.uuid4()}", KeyType="ed25519", TagSpecifications=self._tagged("key-pair")
        )["KeyPairId"]
        market = {"InstanceMarketOptions": {"MarketType": "spot"}} if variables.get("spot") else {}
        try:
            started = self._ec2.run_instances(
                ImageId=variables["source_ami"],
                InstanceType="c7i.xlarge",
                SubnetId=variables["subnet_id"],
                MinCount=1,
                MaxCount=1,
                TagSpecifications=self._tagged("instance", "volume", "network-interface"),
                **market,
            )
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise self.refused(
                f"Error launching source instance: operation error EC2: RunInstances, api error {code}: {message}"
            ) from error
        self._instance = str(started["Instances"][0]["InstanceId"])

    def image(self, variables: Mapping[str, Value]) -> Mapping[str, Any]:
        name = f"agents-{variables['bake']}"
        made = self._ec2.create_image(InstanceId=self._instance, Name=name, TagSpecifications=self._tagged("image", "snapshot"))
        return {"artifact_id": f"us-east-1:{made['ImageId']}"}

    def end(self) -> None:
        if self._instance:
            self._ec2.terminate_instances(InstanceIds=[self._instance])
        self._ec2.delete_key_pair(KeyPairId=self._key)

    def _tagged(self, *kinds: str) -> list[Any]:
        return [{"ResourceType": kind, "Tags": self._tags} for kind in kinds]
