"""All that the fake holds, as a document and as a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moto.ec2.models import ec2_backends

from tests.fakes.aws.book import ACCOUNT
from tests.fakes.held import Held


def regions() -> list[tuple[str, Any]]:
    """The regions that were asked for anything, with their moto backends."""
    return sorted(dict(ec2_backends[ACCOUNT]).items())


def held(*, ended: bool = False) -> list[Held]:
    """Everything; with `ended` also terminated instances and closed spot requests, which EC2 lists for a while."""
    return [one for region, backend in regions() for one in _of(region, backend, ended)]


def _of(region: str, backend: Any, ended: bool) -> Iterator[Held]:
    def make(kind: str, thing: Any, state: str = "", **more: Any) -> Held:
        tags = {tag["key"]: tag["value"] for tag in backend.describe_tags(filters={"resource-id": [thing.id]})}
        return Held(kind, thing.id, region, tags, state, more)

    yield from _machines(backend, ended, make)
    yield from _networks(backend, make)
    yield from _images(backend, make)


def _machines(backend: Any, ended: bool, make: Callable[..., Held]) -> Iterator[Held]:
    for one in backend.all_instances():
        if ended or one.state != "terminated":
            yield make(
                "instance", one, one.state,
                type=one.instance_type, image=one.image_id, zone=one.availability_zone, lifecycle=one.lifecycle or "on-demand",
                reason=one.state_reason.code, http_endpoint=one.metadata_options.http_endpoint, subnet=one.subnet_id,
                http_tokens=one.metadata_options.http_tokens, hop_limit=one.metadata_options.http_put_response_hop_limit,
                shutdown=one.instance_initiated_shutdown_behavior, public_ip=one.public_ip, key=one.key_name,
            )  # fmt: skip
    for volume in backend.volumes.values():
        yield make(
            "volume", volume, volume.status,
            size=volume.size, type=volume.volume_type, instance=volume.attachment.instance.id if volume.attachment else "",
            encrypted=volume.encrypted, throughput=volume.throughput, initialization_rate=getattr(volume, "volume_initialization_rate", None),
        )  # fmt: skip
    for request in backend.spot_instance_requests.values():
        if ended or request.state in ("open", "active"):
            yield make("spot-instances-request", request, request.state, instance=request.instance.id)
    for template in backend.launch_templates.values():
        yield make("launch-template", template, name=template.name)
    for pair in backend.key_pairs.values():
        yield make("key-pair", pair, name=pair.key_name)


def _networks(backend: Any, make: Callable[..., Held]) -> Iterator[Held]:
    for nic in backend.enis.values():
        groups = [group.id for group in nic.group_set]
        owner = nic.instance.id if nic.instance else ""
        yield make(
            "network-interface", nic, nic.status, groups=groups, instance=owner, delete_on_termination=bool(nic.delete_on_termination)
        )
    for groups_of_vpc in backend.groups.values():
        for group in groups_of_vpc.values():
            if group.name != "default":
                yield make("security-group", group, name=group.name, ingress=len(group.ingress_rules))


def _images(backend: Any, make: Callable[..., Held]) -> Iterator[Held]:
    for image in backend.amis.values():
        if image.owner_id == ACCOUNT:
            yield make(
                "image", image, image.state,
                name=image.name, snapshot=image.ebs_snapshot.id, shared=image.launch_permissions, imds=getattr(image, "imds_support", ""),
                deprecated=getattr(image, "deprecation_time", None) or "",
            )  # fmt: skip
    public = {image.ebs_snapshot.id for image in backend.amis.values() if image.owner_id != ACCOUNT}
    for snapshot in backend.snapshots.values():
        if snapshot.id not in public:
            yield make("snapshot", snapshot, snapshot.status, size=snapshot.volume_size, encrypted=snapshot.encrypted)


def document() -> dict[str, Any]:
    """The answer to `GET /_state`: region → kind → what there is."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {region: {} for region, _ in regions()}
    for one in held(ended=True):
        entry = {"id": one.id, "state": one.state, "tags": one.tags, **one.more}
        found[one.region].setdefault(f"{one.kind}s".replace("-", "_"), []).append(entry)
    return {"account": ACCOUNT, "regions": found}
