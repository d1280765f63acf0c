"""Lists as Compute Engine gives them: filtered, in pages, without `items` where there are none."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.gcp import seeds
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.contract import contract
from tests.fakes.gcp.filters import Filter
from tests.fakes.gcp.paths import url
from tests.fakes.gcp.refused import Refused, invalid
from tests.fakes.gcp.request import Request

MOST = 500


def page(request: Request, rows: Mapping[str, Document], kind: str, schema: str) -> Document:
    """One page of these resources (by path) for `compute.….list`."""
    chosen, token = _chosen(request, rows, schema)
    answer: Document = {"kind": kind, "id": f"{request.scope}/{request.table}", "selfLink": url(f"{request.scope}/{request.table}")}
    if chosen:
        answer["items"] = list(chosen.values())
    if token:
        answer["nextPageToken"] = token
    return answer


ZONAL = tuple(f"zones/{name}" for name in seeds.zones())
REGIONAL = tuple(f"regions/{name}" for name in seeds.REGIONS)


def aggregated(
    request: Request, rows: Mapping[str, Document], kind: str, schema: str, *, scopes: Sequence[str] = ZONAL, word: str = ""
) -> Document:
    """One page over all of these scopes, each with its resources under `word` (the method's own by default). What cannot be reached is named, if the caller takes a part; else the call fails. Raises Refused."""
    book = request.book
    gone = set(book.unreachable) if scopes is ZONAL else set()
    if gone and request.query.get("returnPartialSuccess") != "true":
        raise Refused("backendError", f"The zone 'projects/{book.project}/zones/{min(gone)}' cannot be reached.", 503)
    chosen, token = _chosen(
        request, {path: row for path, row in rows.items() if not any(f"/zones/{zone}/" in path for zone in gone)}, schema
    )
    items: dict[str, Document] = {}
    for scope in scopes:
        found = [row for path, row in chosen.items() if f"/{scope}/" in path]
        items[scope] = {word or request.table: found} if found else {"warning": _nothing(scope)}
    for zone in sorted(gone):
        items[f"zones/{zone}"] = {"warning": {"code": "UNREACHABLE", "message": f"The zone {zone} cannot be reached."}}
    answer: Document = {
        "kind": kind, "id": f"projects/{request.project}/aggregated/{request.table}", "items": items,
        "selfLink": url(f"projects/{request.project}/aggregated/{request.table}"),
    }  # fmt: skip
    if gone:
        answer["unreachables"] = [url(f"projects/{request.project}/zones/{zone}") for zone in sorted(gone)]
    if token:
        answer["nextPageToken"] = token
    return answer


def _chosen(request: Request, rows: Mapping[str, Document], schema: str) -> tuple[dict[str, Document], str]:
    """The resources of this page, and the token of the next one; empty: this is the last."""
    fields = contract().methods["compute.instances.list"].service.schemas[schema]["properties"]
    wanted = Filter(request.query.get("filter", ""), fields)
    found = [(path, row) for path, row in rows.items() if wanted.fits(row)]
    order = request.query.get("orderBy", "name")
    if order == "creationTimestamp desc":
        found.sort(key=lambda one: (str(one[1].get("creationTimestamp", "")), one[0]), reverse=True)
    elif order == "name":
        found.sort(key=lambda one: one[0])
    else:
        raise invalid("orderBy", order, "Only name and creationTimestamp desc are supported.")
    asked = int(request.query.get("maxResults", MOST))
    if asked > MOST:
        raise invalid("maxResults", str(asked), f"The value must be at most {MOST}.")
    size = min(asked or MOST, request.book.page)
    if token := request.query.get("pageToken"):
        after = _read(token)
        position = next((index for index, one in enumerate(found) if one[0] == after), None)
        if position is not None:
            found = found[position + 1 :]
        elif order == "name":
            found = [one for one in found if one[0] > after]
    here, rest = found[:size], found[size:]
    return dict(here), _token(here[-1][0]) if rest else ""


def _token(path: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"after": path}).encode()).decode()


def _read(token: str) -> str:
    try:
        return str(json.loads(base64.urlsafe_b64decode(token.encode()))["after"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise invalid("pageToken", token, "Invalid page token.") from None


def _nothing(scope: str) -> dict[str, Any]:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }
