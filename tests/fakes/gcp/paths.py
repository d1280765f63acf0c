"""The names by which Compute Engine's callers mean a resource: whole URLs, paths, and parts of paths."""

from __future__ import annotations

import re

from tests.fakes.gcp.book import ROOT

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"^(?:https?://[^/]+)?/?(?:compute/[a-z0-9_]+/)?")


def path_of(link: str, project: str) -> str:
    """`projects/P/…` for whatever the caller wrote: a URL of any host, `/compute/v1/projects/…`, `global/…`, `zones/…`, `regions/…`."""
    path = _PREFIX.sub("", link)
    return path if path.startswith("projects/") else f"projects/{project}/{path}"


def url(path: str) -> str:
    """The resource's own link."""
    return ROOT + path


def path(link: str) -> str:
    """The path of one of our own links."""
    return link.removeprefix(ROOT)


def last(link: str) -> str:
    """The name at the end of a link."""
    return link.rpartition("/")[2]


def zone_in(path: str) -> str:
    """The zone of a path; empty: it is not in one."""
    found = re.search(r"(?:^|/)zones/([^/]+)", path)
    return found[1] if found else ""


def region_of(zone: str) -> str:
    return zone.rpartition("-")[0]
