"""The image side of a cloud: what `cloud.py`, the pipeline of all of them, asks of each.

A cloud adds one `CloudImages`: where its bakes start from, what Packer is told, and how finished images are tagged, copied and removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from goldbake.clouds.failure import Failure
from goldbake.config.model import Cloud, Image
from goldbake.packer import Value


@dataclass(frozen=True)
class Base:
    """The exact public image that a bake starts from."""

    id: str
    """As the cloud names it; Packer is given exactly this one."""
    name: str
    owner: str
    created: str
    """UTC, ISO 8601."""

    def document(self) -> dict[str, str]:
        """For the manifest and for `bake --dry-run`."""
        return {"id": self.id, "name": self.name, "owner": self.owner, "created": self.created}


@dataclass(frozen=True)
class Attempt:
    """One way to get a build machine: a place, and what Packer's variables are there."""

    place: str
    """For a person, as `us-east-1a (spot)`."""
    reason: str
    """Why there."""
    variables: Mapping[str, Value] = field(default_factory=dict)
    spot: bool = False


class CloudImages(Protocol):
    """What differs from cloud to cloud. Every method raises Failure for what the cloud refuses.

    Nothing here is created but what images are kept in, and copies, which are the same when they are asked for again; what Packer creates, Packer
    removes, and `leftovers` proves it.
    """

    cloud: Cloud

    def region(self, image: Image) -> str:
        """Where an image is baked and at home."""

    def home(self, image: Image) -> str:
        """How the ids of images begin that are made now: the project or subscription, where an id says it."""

    def has_gpu(self, image: Image) -> bool:
        """Whether build machines have one: the checks then look at it too."""

    def base(self, image: Image) -> Base:
        """The newest base image now. Raises MissingError when there is none."""

    def attempts(self, image: Image) -> Sequence[Attempt]:
        """Where a build machine can be, best first, at least one. Raises MissingError or UsageError with the next step."""

    def require_tools(self, image: Image) -> None:
        """Raise MissingError for a program on this machine that only this way of baking needs."""

    def make_ready(self, name: str, image: Image) -> None:
        """Make what a cloud wants to exist before an image of this name can be made, and that stays. Raises MissingError with the next step."""

    def environment(self) -> dict[str, str]:
        """What Packer's process needs of ours, so that it finds the same account and endpoint."""

    def source(self, image_id: str) -> dict[str, Value]:
        """The variables that make a build start from this image."""

    def artifact(self, build: Mapping[str, Any]) -> str:
        """The id of the image that a build has made, by its entry in Packer's manifest. Raises ValueError or KeyError when it names none."""

    def refusal(self, said: str, image: Image, *, spot: bool) -> Failure | None:
        """What the cloud refused, as Packer told it, a quota with its value; None when it was something else that failed."""

    def find(self, artifact: str, region: str) -> Mapping[str, Any] | None:
        """The cloud's own description of an image, None when it is gone."""

    def disk_bytes(self, found: Mapping[str, Any]) -> int:
        """The size of the disk of an image that `find` described."""

    def finish(self, artifact: str, region: str, tags: Mapping[str, str]) -> None:
        """Give image and snapshots these tags, and take away those that let `reap` remove them."""

    def remove(self, artifact: str, region: str) -> None:
        """Delete an image with its snapshots; one that is gone already is fine."""

    def leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        """What exists of a bake of `image`, as `instance i-0123`; `images`: unfinished images count as well."""

    def remove_leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        """Delete what exists of a bake; returns what is still left when it gave up waiting.

        Without `images` no image is deleted: one that is finished may be listed with its old tags for a while.
        """

    def copies(self, image: Image) -> tuple[str, ...]:
        """The regions that are to have a copy."""

    def copy(self, image: Image, name: str, artifact: str, region: str, tags: Mapping[str, str]) -> str:
        """Ask for a copy in `region`; asked again, the same one. Returns its id."""

    def copied(self, artifact: str, region: str, tags: Mapping[str, str]) -> bool:
        """Whether a copy is complete, and tagged. Raises Failure when it never will be."""

    def publishing(self, image: Image) -> str:
        """Digest of who may use the image and when it is deprecated; empty when nobody else may and it never is."""

    def publish(self, image: Image, artifact: str, region: str) -> None:
        """Share an image and set its deprecation as images.yaml says, and take back what it does not say."""
