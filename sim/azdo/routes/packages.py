"""Packages of the agent."""

from __future__ import annotations

from sim.azdo.access import Access
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import Answer, json_answer, list_answer
from sim.azdo.router import Call, Route


def list_packages(call: Call) -> Answer:
    """GET the packages of a type, newest first; the platform is in the path or in the query."""
    query = call.request.query
    found = call.state.packages.of(call.values["packageType"], call.values.get("platform") or query.get("platform"))
    if query.get("$top", "").isdecimal():
        found = found[: int(query["$top"])]
    return list_answer([package.document(call.request.origin) for package in found])


def get_package(call: Call) -> Answer:
    """GET one package."""
    values = call.values
    found = call.state.packages.of(values["packageType"], values["platform"], values["version"])
    if not found:
        raise ServiceError("VssResourceNotFoundException", f"There is no package {values['version']} for {values['platform']}.")
    return json_answer(found[0].document(call.request.origin))


_ALL = "_apis/distributedtask/packages/{packageType}"
ROUTES = (
    Route("GET", _ALL, Access.ANYBODY, list_packages, source="facts 3.2", gives="[PackageMetadata]"),
    Route("GET", _ALL + "/{platform}", Access.ANYBODY, list_packages, source="facts 3.2", gives="[PackageMetadata]"),
    Route("GET", _ALL + "/{platform}/{version}", Access.ANYBODY, get_package, source="facts 3.2", gives="PackageMetadata"),
)
