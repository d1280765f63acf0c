"""The image side of Compute Engine: base images by family, where a build can be, images with their labels, family and readers."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.cloud import compute_v1

from goldbake import hcl, proc
from goldbake.clouds import tags as names
from goldbake.clouds.failure import Failure
from goldbake.clouds.gcp import session
from goldbake.clouds.gcp.errors import refused
from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.quotas import explained
from goldbake.clouds.gcp.resources import GLOBAL, PAGE, labelled
from goldbake.clouds.gcp.session import Gcp
from goldbake.clouds.gcp.spoken import recognised
from goldbake.config import base_images
from goldbake.config.model import Cloud, Image
from goldbake.errors import MissingError, UsageError
from goldbake.images import gcp_leftovers, gcp_places
from goldbake.images.base import Attempt, Base
from goldbake.images.gcp_places import asking, is_missing
from goldbake.packer import Value

_ZONES = 3
"""In how many zones a build is tried; more would only make a shortage of the whole region take longer."""
_UEFI = "UEFI_COMPATIBLE"
_READER = "roles/compute.imageUser"
_STARTING = "start a build instance"
_ARTIFACT = re.compile(r"projects/([a-z0-9.:-]+)/global/images/([a-z0-9-]+)")
_PASSED = (
    session.KEY_FILE, session.TOKEN, "GCE_METADATA_HOST", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
    "CLOUDSDK_CONFIG", "CLOUDSDK_ACTIVE_CONFIG_NAME", "CLOUDSDK_PYTHON",
)  # fmt: skip
"""By which Packer and gcloud, which opens its tunnel, find the account of the SDK."""


class GcpImages:
    """Images of a project of application default credentials. `pause` waits a number of seconds, `patience` is how long removals are waited for."""

    cloud = Cloud.GCP

    def __init__(
        self,
        project: Callable[[str], Gcp] = Gcp,
        *,
        pause: Callable[[float], None] = time.sleep,
        patience: float = gcp_leftovers.PATIENCE_S,
    ) -> None:
        self._open = project
        self._projects: dict[str, Gcp] = {}
        self._pause = pause
        self._patience = patience

    def region(self, image: Image) -> str:
        """An image is everywhere."""
        return GLOBAL

    def home(self, image: Image) -> str:
        return f"projects/{self._gcp(image).project}/"

    def has_gpu(self, image: Image) -> bool:
        return image.gcp.has_gpu

    def base(self, image: Image) -> Base:
        """The newest image of the publisher's family. Raises MissingError when there is none that can be used."""
        wanted = base_images.GCP[image.os]
        look = f"`gcloud compute images describe-from-family {wanted.family} --project {wanted.project}`"
        try:
            with asking(f"look for base images of {image.os}"):
                found = self._images(self._gcp(image)).get_from_family(project=wanted.project, family=wanted.family)
        except Failure as error:
            if not is_missing(error):
                raise
            raise MissingError(
                f"there is no base image of {image.os}: project {wanted.project} has no usable image of family {wanted.family}",
                hint=f"compare with {look}; does an organization policy restrict the projects of images (compute.trustedImageProjects)?",
            ) from error
        if not _is_active(found):
            state = found.deprecated.state.lower()
            raise MissingError(f"the newest image of family {wanted.family}, {found.name}, is {state}", hint=f"compare with {look}")
        if image.secure_boot and _UEFI not in _features(found):
            raise MissingError(
                f"{found.name} cannot start with Secure Boot: it is not {_UEFI}", hint="write secure_boot: false, or another os"
            )
        if found.disk_size_gb > image.disk_gib:
            raise UsageError(
                f"disk_gib {image.disk_gib} is smaller than the base image {found.name}, which has {found.disk_size_gb} GiB",
                hint=f"write disk_gib: {found.disk_size_gb} or more into images.yaml",
            )
        created = datetime.datetime.fromisoformat(found.creation_timestamp).astimezone(datetime.UTC)
        return Base(_artifact(wanted.project, found.name), found.name, wanted.project, created.isoformat(timespec="seconds"))

    def attempts(self, image: Image) -> Sequence[Attempt]:
        """On spot first if images.yaml says so; then on demand; each in the zones that offer the machine, best first."""
        settings, gcp = image.gcp, self._gcp(image)
        network = gcp_places.network(gcp, settings)
        kind, zones = gcp_places.machine(settings), gcp_places.zones(gcp, settings)[:_ZONES]
        found: list[Attempt] = []
        for spot in (True, False) if settings.spot else (False,):
            for zone, why in zones:
                place = f"{zone}{' (spot)' if spot else ''}"
                variables: dict[str, Value] = {"project": gcp.project, "zone": zone, "spot": spot}
                found.append(Attempt(place, f"{kind} in {network}: {why}", variables, spot))
        return found

    def require_tools(self, image: Image) -> None:
        """gcloud opens the tunnel of Identity-Aware Proxy."""
        if image.gcp.communicator == "iap" and proc.find("gcloud") is None:
            raise MissingError(
                "gcloud is not installed, and images.yaml asks for communicator: iap", hint="https://cloud.google.com/sdk/docs/install"
            )

    def make_ready(self, name: str, image: Image) -> None:
        """Images are kept in nothing that has to be made."""

    def environment(self) -> dict[str, str]:
        """The token only here, never in a file or an argument; Packer looks for gcloud's credentials in one place only, so it is told where."""
        found = {name: os.environ[name] for name in _PASSED if os.environ.get(name)}
        if endpoint := session.endpoint("COMPUTE"):
            found["PKR_VAR_endpoint"] = f"{endpoint}/compute/v1/"
        if token := found.get(session.TOKEN):
            found["PKR_VAR_access_token"] = token
        own = Path(found.get("CLOUDSDK_CONFIG", "")) / "application_default_credentials.json"
        if own.is_absolute() and own.is_file():
            found.setdefault(session.KEY_FILE, str(own))
        return found

    def source(self, image_id: str) -> dict[str, Value]:
        project, name = _parts(image_id)
        with asking(f"look at {image_id}"):
            found = self._images(self._session(project)).get(project=project, image=name)
        return {"source_image": name, "source_project": project, "source_features": hcl.literal(_features(found))}

    def artifact(self, build: Mapping[str, Any]) -> str:
        """`agents-b1` with `project` beside it → `projects/…/global/images/agents-b1`."""
        found = _artifact(build["custom_data"]["project"], build["artifact_id"])
        _parts(found)
        return found

    def refusal(self, said: str, image: Image, *, spot: bool) -> Failure | None:
        if (found := recognised(said)) is None:
            return None
        (code, words), settings, gcp = found, image.gcp, self._gcp(image)
        status = int(code) if code.isdigit() else 0
        failure = refused(code, words, doing=_STARTING, place=settings.region, details={"project": gcp.project}, status=status)
        return explained(gcp, failure, region=settings.region, types=[str(gcp_places.machine(settings))], spot=spot)

    def find(self, artifact: str, region: str) -> Mapping[str, Any] | None:
        try:
            found = self._image(artifact)
        except Failure as error:
            if is_missing(error):
                return None
            raise
        return None if found.status in ("DELETING", "FAILED") else compute_v1.Image.to_dict(found)

    def disk_bytes(self, found: Mapping[str, Any]) -> int:
        return int(found["disk_size_gb"]) * 2**30

    def finish(self, artifact: str, region: str, tags: Mapping[str, str]) -> None:
        found = self._image(artifact)
        kept = {name: value for name, value in found.labels.items() if name not in (names.BAKE, names.EXPIRES)}
        self._label(artifact, found, kept | dict(tags))

    def remove(self, artifact: str, region: str) -> None:
        project, name = _parts(artifact)
        try:
            with asking(f"remove {artifact}"):
                self._done(project, self._images(self._session(project)).delete_unary(project=project, image=name), f"remove {artifact}")
        except Failure as error:
            if not is_missing(error):
                raise

    def leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        with asking(f"list what bake {bake_id} has made"):
            return [str(one) for one in gcp_leftovers.existing(self._gcp(image), bake_id, images=images)]

    def remove_leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        with asking(f"remove what bake {bake_id} has made"):
            left = gcp_leftovers.remove(self._gcp(image), bake_id, self._pause, images=images, patience=self._patience)
            return [str(one) for one in left]

    def copies(self, image: Image) -> tuple[str, ...]:
        """None: an image is everywhere."""
        return ()

    def copy(self, image: Image, name: str, artifact: str, region: str, tags: Mapping[str, str]) -> str:
        """The image itself is there already."""
        return artifact

    def copied(self, artifact: str, region: str, tags: Mapping[str, str]) -> bool:
        return self.find(artifact, region) is not None

    def publishing(self, image: Image) -> str:
        settings = image.gcp
        wanted = [settings.family, sorted(settings.share_with), sorted(settings.labels.items()), settings.deprecate_older]
        return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]

    def publish(self, image: Image, artifact: str, region: str) -> None:
        """Labels and readers; and, once the image is checked, its family, in which it takes the place of older ones."""
        settings, found = image.gcp, self._image(artifact)
        own = {name: value for name, value in found.labels.items() if _is_own(name)}
        self._label(artifact, found, settings.labels | own)
        self._share(artifact, frozenset(settings.share_with))
        if found.labels.get(names.CHECKS) != "passed":
            return
        family = settings.family_of(found.labels[names.IMAGE])
        if found.family != family:
            self._join(artifact, family)
        if settings.deprecate_older:
            self._deprecate_older(artifact, found, family)

    def _gcp(self, image: Image) -> Gcp:
        return self._session(image.gcp.project)

    def _session(self, project: str) -> Gcp:
        """The project, or the one that credentials and environment name."""
        if project not in self._projects:
            found = self._open(project)
            self._projects |= {project: found, found.project: self._projects.get(found.project, found)}
        return self._projects[project]

    def _images(self, gcp: Gcp) -> compute_v1.ImagesClient:
        return gcp.client(compute_v1.ImagesClient)

    def _image(self, artifact: str) -> compute_v1.Image:
        project, name = _parts(artifact)
        with asking(f"look for {artifact}"):
            return self._images(self._session(project)).get(project=project, image=name)

    def _done(self, project: str, operation: compute_v1.Operation, doing: str) -> None:
        finished(self._session(project), operation, doing=doing, patience=self._patience, sleep=self._pause)

    def _label(self, artifact: str, found: compute_v1.Image, labels: Mapping[str, str]) -> None:
        if dict(found.labels) == labels:
            return
        project, name = _parts(artifact)
        wanted = compute_v1.GlobalSetLabelsRequest(labels=dict(labels), label_fingerprint=found.label_fingerprint)
        with asking(f"label {artifact}"):
            done = self._images(self._session(project)).set_labels_unary(
                project=project, resource=name, global_set_labels_request_resource=wanted
            )
            self._done(project, done, f"label {artifact}")

    def _share(self, artifact: str, readers: frozenset[str]) -> None:
        """Let exactly these start instances from the image; what others may do, and under which conditions, stays."""
        project, name = _parts(artifact)
        client = self._images(self._session(project))
        with asking(f"share {artifact}"):
            asked = compute_v1.GetIamPolicyImageRequest(project=project, resource=name, options_requested_policy_version=3)
            policy = client.get_iam_policy(request=asked)
            present = {member for binding in policy.bindings if _is_reading(binding) for member in binding.members}
            if present == readers:
                return
            kept = [binding for binding in policy.bindings if not _is_reading(binding)]
            policy.bindings = [*kept, compute_v1.Binding(role=_READER, members=sorted(readers))] if readers else kept
            wanted = compute_v1.GlobalSetPolicyRequest(policy=policy)
            client.set_iam_policy(project=project, resource=name, global_set_policy_request_resource=wanted)

    def _join(self, artifact: str, family: str) -> None:
        project, name = _parts(artifact)
        with asking(f"put {artifact} into family {family}"):
            done = self._images(self._session(project)).patch_unary(
                project=project, image=name, image_resource=compute_v1.Image(family=family)
            )
            self._done(project, done, f"put {artifact} into family {family}")

    def _deprecate_older(self, artifact: str, found: compute_v1.Image, family: str) -> None:
        """Of goldbake's own finished images only, and of those made before: somebody may put an older one forward again."""
        project, _ = _parts(artifact)
        client = self._images(self._session(project))
        asked = {"project": project, "filter": f"(family = {family}) {labelled({names.MANAGED_BY: names.OWNER})}", "max_results": PAGE}
        with asking(f"list family {family}"):
            older = [
                one.name
                for one in client.list(request=asked)
                if one.name != found.name and _is_active(one) and names.EXPIRES not in one.labels and _born(one) < _born(found)
            ]
        status = compute_v1.DeprecationStatus(state="DEPRECATED", replacement=found.self_link)
        for name in older:
            with asking(f"deprecate {name}"):
                done = client.deprecate_unary(project=project, image=name, deprecation_status_resource=status)
                self._done(project, done, f"deprecate {name}")


def _artifact(project: str, name: str) -> str:
    return f"projects/{project}/global/images/{name}"


def _parts(artifact: str) -> tuple[str, str]:
    """Project and name of an image. Raises ValueError."""
    found = _ARTIFACT.fullmatch(artifact)
    if found is None:
        raise ValueError(artifact)
    return found[1], found[2]


def _features(found: compute_v1.Image) -> list[str]:
    return [feature.type_ for feature in found.guest_os_features]


def _is_active(found: compute_v1.Image) -> bool:
    """Neither deprecated, obsolete nor deleted; Packer sets an empty state."""
    return found.deprecated.state in ("", "ACTIVE")


def _born(found: compute_v1.Image) -> datetime.datetime:
    return datetime.datetime.fromisoformat(found.creation_timestamp)


def _is_own(label: str) -> bool:
    """Whether a label is goldbake's and not one of images.yaml."""
    return label == names.MANAGED_BY or label.startswith("goldbake-")


def _is_reading(binding: compute_v1.Binding) -> bool:
    return binding.role == _READER and not binding.condition.expression
