"""The methods of compute.images, and which image a caller means."""

from __future__ import annotations

from tests.fakes.gcp import listing, operations
from tests.fakes.gcp.book import Document, Event
from tests.fakes.gcp.labels import refuse_labels, set_labels
from tests.fakes.gcp.paths import NAME, path_of, url, zone_in
from tests.fakes.gcp.refused import Refused, invalid, missing
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.gcp.understood import CHANGES, IMAGE, refuse_others

FEATURES = ("UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE", "GVNIC")
_OWN = ("description", "family", "storageLocations", "shieldedInstanceInitialState")


def image_of(request: Request, link: str) -> str:
    """The path of the image that may be started from here: one by name, or a family's newest. Raises Refused."""
    book, path = request.book, path_of(link, request.project)
    if "/images/family/" in path:
        project, _, family = path.removeprefix("projects/").partition("/global/images/family/")
        path = newest(request, project, family)
    if path not in book.tables["images"]:
        raise missing(path)
    row, project = book.tables["images"][path], path.split("/")[1]
    if "compute.trustedImageProjects" in book.policies and project != book.project:
        text = f"Constraint constraints/compute.trustedImageProjects violated for project {book.project}. "
        raise Refused("conditionNotMet", f"{text}Use of images from project {project} is prohibited.")
    if row["status"] != "READY":
        raise Refused("resourceNotReady", f"The resource '{path}' is not ready", 400)
    if row.get("deprecated", {}).get("state") in ("OBSOLETE", "DELETED"):
        raise Refused("resourceNotReady", f"The resource '{path}' is {row['deprecated']['state'].lower()} and cannot be used.", 400)
    return path


def newest(request: Request, project: str, family: str) -> str:
    """The path of the newest image of a family that is not deprecated. Raises Refused."""
    found = [
        (row["creationTimestamp"], path)
        for path, row in request.book.tables["images"].items()
        if path.startswith(f"projects/{project}/")
        and row.get("family") == family
        and row.get("deprecated", {}).get("state", "ACTIVE") == "ACTIVE"
        and row["status"] == "READY"
    ]
    if not found:
        raise missing(f"projects/{project}/global/images/family/{family}")
    return max(found)[1]


def get(request: Request) -> Document:
    return request.find(request.path["image"])[1]


def from_family(request: Request) -> Document:
    return request.book.tables["images"][newest(request, request.project, request.path["family"])]


def list_(request: Request) -> Document:
    rows = {path: row for path, row in request.book.tables["images"].items() if path.startswith(f"{request.scope}/")}
    return listing.page(request, rows, "compute#imageList", "Image")


def insert(request: Request) -> Document:
    """An image of a disk that no running instance has. Raises Refused."""
    book, body = request.book, request.body
    name = str(body["name"])
    refuse_others(body, IMAGE)
    path = f"{request.scope}/images/{name}"
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    if body.get("family") and not NAME.fullmatch(str(body["family"])):
        raise invalid("resource.family", str(body["family"]), "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    if path in book.tables["images"]:
        raise Refused("alreadyExists", f"The resource '{path}' already exists")
    refuse_labels(body.get("labels", {}))
    sources = [key for key in ("sourceDisk", "sourceImage", "sourceSnapshot") if body.get(key)]
    if len(sources) != 1 or sources[0] == "sourceSnapshot":
        raise invalid("resource.sourceDisk", "", "Exactly one source must be given.")
    if sources[0] == "sourceDisk":
        origin = path_of(str(body["sourceDisk"]), request.project)
        if origin not in book.tables["disks"]:
            raise missing(origin)
        source, size = book.tables["disks"][origin], book.tables["disks"][origin]["sizeGb"]
        if source.get("users") and request.query.get("forceCreate") != "true":
            text = f"The disk resource '{origin}' is already being used by '{path_of(source['users'][0], request.project)}'"
            raise Refused("resourceInUseByAnotherResource", text)
    else:
        origin = image_of(request, str(body["sourceImage"]))
        source, size = book.tables["images"][origin], book.tables["images"][origin]["diskSizeGb"]
    labels = dict(body.get("labels", {}))
    features = {one["type"] for one in source.get("guestOsFeatures", ())} | {one["type"] for one in body.get("guestOsFeatures", ())}
    row: Document = {
        "kind": "compute#image", "id": book.new_id(), "creationTimestamp": book.stamp(), "name": name, "sourceType": "RAW",
        "status": "PENDING", "diskSizeGb": size, "selfLink": url(path), "labelFingerprint": book.fingerprint(labels),
        "archiveSizeBytes": "2147483648", "architecture": source.get("architecture", "X86_64"), "storageLocations": ["us"],
        "licenses": source.get("licenses", []), "licenseCodes": source.get("licenseCodes", []), "satisfiesPzi": True,
        sources[0]: url(origin), f"{sources[0]}Id": source["id"],
        **{key: body[key] for key in _OWN if key in body},
    }  # fmt: skip
    if features:
        row["guestOsFeatures"] = [{"type": one} for one in sorted(features)]
    if labels:
        row["labels"] = labels
    book.tables["images"][path] = row

    def effect() -> None:
        row["status"] = "READY"
        if "sourceDisk" in row:
            book.tell(Event("imaged", zone_in(origin), "", path, origin.rpartition("/")[2]))

    return operations.begin(
        request, "insert", path, effect, target_id=row["id"], undo=lambda: book.tables["images"].pop(path, None) and None
    )


def delete(request: Request) -> Document:
    path, row = request.find(request.path["image"])

    def effect() -> None:
        request.book.tables["images"].pop(path, None)
        request.book.iam.pop(path, None)

    return operations.begin(request, "delete", path, effect, target_id=row["id"])


def deprecate(request: Request) -> Document:
    """Set or take away (with an empty body, or ACTIVE) the deprecation."""
    path, row = request.find(request.path["image"])
    wanted = {key: value for key, value in request.body.items() if value}

    def effect() -> None:
        row.pop("deprecated", None)
        if wanted and wanted.get("state") != "ACTIVE":
            row["deprecated"] = wanted

    return operations.begin(request, "deprecate", path, effect, target_id=row["id"])


def patch(request: Request) -> Document:
    """Family, description and deprecation. Raises Refused."""
    refuse_others(request.body, CHANGES)
    path, row = request.find(request.path["image"])
    changed = {key: request.body[key] for key in ("family", "description", "deprecated") if key in request.body}
    if changed.get("family") and not NAME.fullmatch(changed["family"]):
        raise invalid("resource.family", changed["family"], "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    return operations.begin(request, "update", path, lambda: row.update(changed), target_id=row["id"])


def get_policy(request: Request) -> Document:
    path, _ = request.find(request.path["resource"])
    return request.book.iam.get(path, {"version": 1, "etag": "ACAB"})


def set_policy(request: Request) -> Document:
    """Replace the policy. Raises Refused when another changed it since it was read, and for members that there cannot be."""
    path, _ = request.find(request.path["resource"])
    policy = dict(request.body.get("policy") or {"bindings": request.body.get("bindings", []), "etag": request.body.get("etag", "")})
    known = request.book.iam.get(path, {"version": 1, "etag": "ACAB"})
    if policy.get("etag") and policy["etag"] != known["etag"]:
        raise Refused("conditionNotMet", "There were concurrent policy changes. Please retry the whole read-modify-write.", 412)
    for binding in policy.get("bindings", ()):
        for member in binding.get("members", ()):
            if member not in ("allUsers", "allAuthenticatedUsers") and ":" not in member:
                raise invalid("policy", member, "The member must be of the form {type}:{id}.")
    found = {"version": 1, "bindings": policy.get("bindings", []), "etag": request.book.fingerprint([path, policy.get("bindings", [])])}
    request.book.iam[path] = found
    return found


METHODS: Methods = {
    "compute.images.insert": insert,
    "compute.images.get": get,
    "compute.images.getFromFamily": from_family,
    "compute.images.list": list_,
    "compute.images.delete": delete,
    "compute.images.deprecate": deprecate,
    "compute.images.patch": patch,
    "compute.images.setLabels": set_labels,
    "compute.images.getIamPolicy": get_policy,
    "compute.images.setIamPolicy": set_policy,
}
