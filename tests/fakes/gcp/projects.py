"""The project itself: as Compute Engine, Resource Manager, Service Usage, Billing and IAM see it."""

from __future__ import annotations

import re

from tests.fakes.gcp.access import APIS
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.paths import url
from tests.fakes.gcp.places import quotas_of
from tests.fakes.gcp.refused import Refused
from tests.fakes.gcp.request import Methods, Request

CREATED = "2026-01-01T00:00:00.000Z"
_PERMISSION = re.compile(r"[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+")
_TITLES = dict(APIS.values())


def compute(request: Request) -> Document:
    book, path = request.book, f"projects/{request.project}"
    return {
        "kind": "compute#project", "id": book.number, "creationTimestamp": "2026-01-01T00:00:00.000-08:00", "name": book.project,
        "commonInstanceMetadata": book.common_metadata | {"fingerprint": book.fingerprint(book.common_metadata)},
        "defaultServiceAccount": book.default_account, "quotas": quotas_of(request, ""), "selfLink": url(path),
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS", "defaultNetworkTier": "PREMIUM", "vmDnsSetting": "ZONAL_ONLY",
    }  # fmt: skip


def manager_v1(request: Request) -> Document:
    _ours(request, request.path["projectId"])
    book = request.book
    return {
        "projectNumber": book.number, "projectId": book.project, "lifecycleState": "ACTIVE", "name": book.project, "createTime": CREATED,
    }  # fmt: skip


def manager_v3(request: Request) -> Document:
    _ours(request, request.path["name"])
    book = request.book
    return {
        "name": f"projects/{book.number}", "projectId": book.project, "state": "ACTIVE", "displayName": book.project, "createTime": CREATED,
        "updateTime": CREATED, "etag": 'W/"4f6e2d3a"',
    }  # fmt: skip


def test_permissions(request: Request) -> Document:
    """Those of the permissions that the caller has. Raises Refused for one that there cannot be."""
    _ours(request, request.path["resource"])
    wanted = request.body.get("permissions", [])
    if len(wanted) > MOST_PERMISSIONS:
        raise Refused("badRequest", f"At most {MOST_PERMISSIONS} permissions can be tested by one call.", 400)
    for one in wanted:
        if not _PERMISSION.fullmatch(one):
            raise Refused("badRequest", f"Permission {one} is not valid for this resource.", 400)
    held = [one for one in wanted if request.book.may(one)]
    return {"permissions": held} if held else {}


MOST_PERMISSIONS = 100


def service(request: Request, name: str) -> Document:
    """One API of the project."""
    api = name.rpartition("/")[2]
    return {
        "name": f"projects/{request.book.number}/services/{api}", "parent": f"projects/{request.book.number}",
        "config": {"name": api, "title": _TITLES.get(api, api)}, "state": "ENABLED" if api in request.book.enabled else "DISABLED",
    }  # fmt: skip


def get_service(request: Request) -> Document:
    _ours(request, request.path["name"])
    return service(request, request.path["name"])


def batch_get(request: Request) -> Document:
    _ours(request, request.path["parent"])
    return {"services": [service(request, name) for name in request.query.get("names", "").split("\n") if name]}


def list_services(request: Request) -> Document:
    _ours(request, request.path["parent"])
    wanted = request.query.get("filter", "")
    names = sorted({*_TITLES, *request.book.enabled}) if wanted != "state:ENABLED" else sorted(request.book.enabled)
    return {"services": [service(request, name) for name in names if not (wanted == "state:DISABLED" and name in request.book.enabled)]}


def billing(request: Request) -> Document:
    _ours(request, request.path["name"])
    book = request.book
    found: Document = {"name": f"projects/{book.project}/billingInfo", "projectId": book.project, "billingEnabled": book.billing}
    if book.billing:
        found["billingAccountName"] = "billingAccounts/0A1B2C-3D4E5F-607182"
    return found


def account(request: Request) -> Document:
    """A service account by its address."""
    email = request.path["name"].rpartition("/")[2]
    book = request.book
    if email not in {book.default_account, *book.accounts}:
        raise Refused("notFound", f"Unknown service account: {email}", 404)
    return {
        "name": f"projects/{book.project}/serviceAccounts/{email}", "projectId": book.project, "uniqueId": "123456789012345678901",
        "email": email, "etag": "MDEwMjE5MjA=", "oauth2ClientId": "123456789012345678901",
    }  # fmt: skip


def test_account(request: Request) -> Document:
    """Those of the permissions that the caller has on a service account."""
    held = [one for one in request.body.get("permissions", []) if request.book.may(one)]
    return {"permissions": held} if held else {}


def _ours(request: Request, name: str) -> None:
    """Raise Refused for another project than ours: one may not even know whether there is one."""
    found = name.removeprefix("projects/").split("/")[0]
    if found not in (request.book.project, request.book.number):
        raise Refused("forbidden", "The caller does not have permission", 403)


METHODS: Methods = {
    "compute.projects.get": compute,
    "cloudresourcemanager.v1.projects.get": manager_v1,
    "cloudresourcemanager.v1.projects.testIamPermissions": test_permissions,
    "cloudresourcemanager.v3.projects.get": manager_v3,
    "cloudresourcemanager.v3.projects.testIamPermissions": test_permissions,
    "serviceusage.services.get": get_service,
    "serviceusage.services.batchGet": batch_get,
    "serviceusage.services.list": list_services,
    "cloudbilling.projects.getBillingInfo": billing,
    "iam.projects.serviceAccounts.get": account,
    "iam.projects.serviceAccounts.testIamPermissions": test_account,
}
