"""Whole bakes for a fake cloud: real Packer, the scripts in a container that stands for the build instance.

A cloud's file makes its `Field` of the one here, gives the fixtures `field` and `baked`, the record of the first bake, and makes classes of tests of
`FirstBake` and `NextBakes`. What only that cloud does is tested between these two: the next bakes leave nothing of the first.
"""

from __future__ import annotations

import json
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from goldbake.records import ImageRecord
from tests.integration import workshop
from tests.integration.cloudshop import CloudShop
from tests.integration.machines import until
from tests.integration.world import World

F = TypeVar("F")


@dataclass(frozen=True)
class Field(ABC, Generic[F]):
    """An account, its machines, and a copy of this project whose images are for its cloud."""

    base: ClassVar[str]
    """The image that bakes start from."""
    region: ClassVar[str]
    """Where a record says that its image is."""
    secret: ClassVar[str]
    """What the account is entered with: no command has it, and nobody says it."""

    fake: F
    world: World
    shop: CloudShop

    @abstractmethod
    def left(self, *, images: bool = True) -> list[str]:
        """What there is, as the cloud's own list calls tell it and as the fake does; without `images` all but finished ones."""

    @abstractmethod
    def changes(self) -> list[str]:
        """What was asked for so far, but for what only reads."""

    @abstractmethod
    def assert_kept(self, baked: ImageRecord) -> None:
        """The image is the only one, ready, and found by who looks for the newest."""

    @abstractmethod
    def tags(self, baked: ImageRecord) -> list[Mapping[str, str]]:
        """Those of the image, and of what it is made of."""

    @abstractmethod
    def remove(self, artifact: str) -> None:
        """Somebody removes the image, and does not tell us."""

    @abstractmethod
    def assert_building(self) -> None:
        """There is a build instance."""

    def more_tags(self, baked: ImageRecord) -> Mapping[str, str]:
        """Those of the image that not every cloud's have."""
        return {}

    def bake_spoilt(self, settings: str) -> str:
        """Bake an image in which a check fails; what is said."""
        self.shop.shop.script("spoil-image", "mkdir /opt/packer-was-here")
        self.shop.add_image("spoilt", settings, ["spoil-image"])
        code, _, said = self.shop.bake("spoilt")
        assert code == 3, said
        assert "nothing_of_packer_is_left" in said
        return said


class FirstBake:
    """What the first bake leaves in every cloud."""

    def test_a_bake_leaves_an_image_and_a_record_and_nothing_else(self, field: Field[Any], baked: ImageRecord) -> None:
        assert field.left(images=False) == []
        field.assert_kept(baked)
        tags = field.tags(baked)
        assert tags
        for found in tags:
            assert found == {
                "managed-by": "goldbake",
                "goldbake-image": field.shop.image,
                "goldbake-checks": "passed",
                "goldbake-fingerprint": baked.fingerprint[:32],
                "goldbake-manifest": baked.sha256[:32],
                **field.more_tags(baked),
            }
        assert (baked.region, baked.base) == (field.region, field.base)
        assert baked.checks is not None
        assert (baked.checks.failed, baked.checks.passed > 50) == (0, True)
        assert [one.artifact for one in field.shop.records()] == [baked.artifact]
        manifest = json.loads(Path(baked.manifest).read_text())
        assert manifest["artifact"] == {"id": baked.artifact, "region": field.region}
        assert any(name.startswith("nvidia-kernel") for name in manifest["packages"])

    def test_the_build_instance_was_restarted_where_images_yaml_says_so(self, field: Field[Any], baked: ImageRecord) -> None:
        assert 2 in [machine.boots for machine in field.world.machines]


class NextBakes:
    """What bakes after the first do in every cloud."""

    def test_a_second_bake_returns_the_same_record_and_starts_nothing(self, field: Field[Any], baked: ImageRecord) -> None:
        before = field.changes()
        code, record, said = field.shop.bake()
        assert code == 0, said
        assert (record["reused"], record["artifact"]) == (True, baked.artifact)
        assert field.changes() == before

    def test_an_image_that_is_gone_is_baked_again_and_ctrl_c_during_that_leaves_nothing(
        self, field: Field[Any], baked: ImageRecord
    ) -> None:
        field.remove(baked.artifact)
        with field.shop.shop.running("bake", "--cloud", field.shop.cloud, "--image", field.shop.image) as task:
            until("the build instance runs scripts", lambda: "configure-apt" in task.said() or task.child.poll() is not None, 900)
            assert f"{baked.artifact} is not in {field.region} any more" in task.said()
            field.assert_building()
            assert [words for _, words in workshop.commands() if field.secret in words] == []
            assert task.end(signal.SIGINT, 600) != 0, task.said()
        assert "Traceback" not in task.said()
        assert field.secret not in task.said()
        assert field.left() == []
        assert field.shop.locks() == []
