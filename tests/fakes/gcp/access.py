"""Who may: tokens, what each method needs, APIs and billing."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fakes.gcp.book import Book
from tests.fakes.gcp.paths import path_of
from tests.fakes.gcp.refused import disabled, forbidden, no_billing
from tests.fakes.gcp.request import Request

TOKEN = "ya29.fake-access-token-of-the-tests"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_S = 3599
APIS: Mapping[str, tuple[str, str]] = {
    "compute": ("compute.googleapis.com", "Compute Engine API"),
    "cloudresourcemanager": ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
    "serviceusage": ("serviceusage.googleapis.com", "Service Usage API"),
    "cloudbilling": ("cloudbilling.googleapis.com", "Cloud Billing API"),
    "iam": ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
}
"""The first word of a method's id → its API and that API's title."""

_VERBS = {
    "insert": "create", "bulkInsert": "create", "aggregatedList": "list", "getFromFamily": "getFromFamily", "wait": "get", "patch": "update",
}  # fmt: skip
_OTHERS = {
    "cloudresourcemanager.v1.projects.get": "resourcemanager.projects.get",
    "cloudresourcemanager.v3.projects.get": "resourcemanager.projects.get",
    "cloudbilling.projects.getBillingInfo": "resourcemanager.projects.get",
    "serviceusage.services.batchGet": "serviceusage.services.get",
    "iam.projects.serviceAccounts.get": "iam.serviceAccounts.get",
}


class Access:
    """The key of a service account, and the tokens that are good."""

    def __init__(self, project: str) -> None:
        self.email = f"goldbake@{project}.iam.gserviceaccount.com"
        self.project = project
        self.tokens = {TOKEN: float("inf")}
        """Token → until when, by the time of day."""
        self._checked: dict[str, float] = {}

    def key_file(self, token_uri: str) -> dict[str, str]:
        """What `gcloud iam service-accounts keys create` writes."""
        return {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": _pem(),
            "client_email": self.email,
            "client_id": "123456789012345678901",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def token(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and answer of the token endpoint."""
        if form.get("grant_type") != GRANT:
            return 400, {"error": "unsupported_grant_type", "error_description": f"Invalid grant_type: {form.get('grant_type')}"}
        if not self._signed(form.get("assertion", "")):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        found = f"ya29.{secrets.token_urlsafe(32)}"
        self.tokens[found] = time.time() + LIFETIME_S
        return 200, {"access_token": found, "expires_in": LIFETIME_S, "token_type": "Bearer"}

    def knows(self, authorization: str) -> bool:
        """Whether this header carries a token of ours, or a JWT that the service account signed itself."""
        kind, _, found = authorization.partition(" ")
        return kind.lower() == "bearer" and (self.tokens.get(found, 0.0) > time.time() or self._signed(found))

    def revoke(self) -> None:
        """No token and no key is good any more."""
        self.tokens.clear()
        self._checked.clear()
        self.email = "nobody"

    def _signed(self, text: str) -> bool:
        if self._checked.get(text, 0.0) > time.time():
            return True
        parts = text.split(".")
        if len(parts) != 3:
            return False
        try:
            claims = json.loads(_unpadded(parts[1]))
            _key().public_key().verify(_unpadded(parts[2]), f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        good = (
            claims.get("iss") == self.email and float(claims.get("exp", 0)) > time.time() and bool(claims.get("aud") or claims.get("scope"))
        )
        if good:
            self._checked[text] = float(claims["exp"])
        return good


def refuse_api(book: Book, method: str) -> None:
    """Raise Refused when the method's API is off, or the project has no billing account."""
    api, title = APIS[method.partition(".")[0]]
    if api not in book.enabled:
        raise disabled(api, title, book.number)
    if not book.billing and api == "compute.googleapis.com":
        raise no_billing(api, book.number)


def refuse_permission(request: Request) -> None:
    """Raise Refused when the caller lacks what this request needs."""
    for permission, path in needed(request):
        if not request.book.may(permission):
            raise forbidden(permission, path)


def needed(request: Request) -> Iterator[tuple[str, str]]:
    """The permissions of a request, each with the resource on which: https://cloud.google.com/compute/docs/access/iam-permissions."""
    words = request.method.split(".")
    if request.method in _OTHERS:
        yield _OTHERS[request.method], f"projects/{request.book.project}"
        return
    if request.method.endswith(".testIamPermissions"):
        return
    if words[0] != "compute":
        yield f"{words[0]}.{words[-2]}.{words[-1]}", f"projects/{request.book.project}"
        return
    table = "instances" if words[1] == "regionInstances" else words[1]
    where = request.scope if "project" in request.path else ""
    name = request.body.get("name") or next((value for key, value in request.path.items() if key not in ("project", "zone", "region")), "")
    target = f"{where}/{table}/{name}" if name else (where if words[-1] == "bulkInsert" else f"projects/{request.project}")
    yield f"compute.{table}.{_VERBS.get(words[-1], words[-1])}", target
    extra = {"compute.instances.insert": request.body, "compute.instances.bulkInsert": request.body.get("instanceProperties", {}),
             "compute.regionInstances.bulkInsert": request.body.get("instanceProperties", {})}.get(request.method)  # fmt: skip
    if extra is not None:
        yield from _start(request, extra, where, target, str(name))
    if request.method == "compute.firewalls.insert":
        yield "compute.networks.updatePolicy", path_of(str(request.body.get("network", "global/networks/default")), request.project)
    if request.method == "compute.firewalls.delete":
        yield "compute.networks.updatePolicy", f"projects/{request.project}/global/networks/default"
    if request.method == "compute.images.insert":
        if request.body.get("sourceDisk"):
            yield "compute.disks.useReadOnly", path_of(str(request.body["sourceDisk"]), request.project)
        if request.body.get("labels"):
            yield "compute.images.setLabels", target
    if request.method == "compute.disks.insert" and request.body.get("labels"):
        yield "compute.disks.setLabels", target
    if request.method in ("compute.images.insert", "compute.disks.insert") and request.body.get("sourceImage"):
        yield from _reading(request, str(request.body["sourceImage"]))


def _start(request: Request, body: Mapping[str, Any], where: str, target: str, name: str) -> Iterator[tuple[str, str]]:
    yield "compute.disks.create", f"{where}/disks/{name}"
    region = request.path.get("region") or request.path["zone"].rpartition("-")[0]
    for nic in body.get("networkInterfaces") or [{}]:
        subnet = path_of(str(nic.get("subnetwork") or f"regions/{region}/subnetworks/default"), request.project)
        yield "compute.subnetworks.use", subnet
        if any(one is not None for one in nic.get("accessConfigs", ())):
            yield "compute.subnetworks.useExternalIp", subnet
    for key, permission in (
        ("metadata", "setMetadata"),
        ("labels", "setLabels"),
        ("tags", "setTags"),
        ("serviceAccounts", "setServiceAccount"),
    ):
        given = body.get(key)
        if any(given) if isinstance(given, list) else given:  # Packer's plugin sends an empty service account for none
            yield f"compute.instances.{permission}", target
    for disk in body.get("disks", ()):
        if disk.get("initializeParams", {}).get("labels"):
            yield "compute.disks.setLabels", f"{where}/disks/{name}"
        yield from _reading(request, str(disk.get("initializeParams", {}).get("sourceImage", "")))


def _reading(request: Request, link: str) -> Iterator[tuple[str, str]]:
    """Public images may be used by everybody, the project's own by who may."""
    image = path_of(link, request.project)
    if image.startswith(f"projects/{request.book.project}/global/images/"):
        yield "compute.images.useReadOnly", image


@lru_cache(maxsize=1)
def _key() -> rsa.RSAPrivateKey:
    """One for the process: it takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache(maxsize=1)
def _pem() -> str:
    return _key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
