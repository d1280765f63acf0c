"""Labels: what they may look like, and how they are set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.fakes.gcp import operations
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.refused import Refused, invalid
from tests.fakes.gcp.request import Request

MOST = 64
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def refuse_labels(labels: Mapping[str, str]) -> None:
    """Raise Refused for labels that the service would not take: https://cloud.google.com/compute/docs/labeling-resources."""
    if len(labels) > MOST:
        raise invalid("resource.labels", "", f"The number of labels must be at most {MOST}.")
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            raise invalid(
                "resource.labels", "", f"Label key '{key}' violates format constraints. The key must start with a lowercase letter."
            )
        if not _VALUE.fullmatch(value):
            text = f"Label value '{value}' violates format constraints. The value can only contain lowercase letters, numeric characters, "
            raise invalid("resource.labels", "", text + "underscores and dashes. The value can be at most 63 characters long.")


def set_labels(request: Request) -> Document:
    """Replace all labels of a resource. Raises Refused when they were changed by another since they were read."""
    path, row = request.find(request.path.get("resource") or request.path["instance"])
    labels = dict(request.body.get("labels", {}))
    if request.body.get("labelFingerprint") != row["labelFingerprint"]:
        raise stale("Labels fingerprint either invalid or resource labels have changed")
    refuse_labels(labels)

    def effect() -> None:
        row["labels"], row["labelFingerprint"] = labels, request.book.fingerprint(labels)

    return operations.begin(request, "setLabels", path, effect, target_id=row["id"])


def stale(text: str) -> Refused:
    """What the caller read is not what is there now."""
    return Refused("conditionNotMet", text, 412)
