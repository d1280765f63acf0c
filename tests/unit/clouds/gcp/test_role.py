"""The smallest role: enough for every call in our code, and no more than Google has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api_core.exceptions import Forbidden
from google.cloud import compute_v1

from goldbake.clouds.gcp import permissions, role
from goldbake.clouds.gcp.role import CALLS, Purpose
from goldbake.clouds.gcp.session import Gcp
from goldbake.paths import PROJECT
from tests.fakes.gcp import ZONE, FakeGcp

_PACKER = frozenset(
    {
        "compute.disks.delete", "compute.globalOperations.get", "compute.images.delete", "compute.images.deprecate", "compute.images.get",
        "compute.images.getFromFamily", "compute.images.insert", "compute.instances.delete", "compute.instances.get",
        "compute.instances.getSerialPortOutput", "compute.instances.insert", "compute.machineTypes.get", "compute.projects.get",
        "compute.zoneOperations.get", "compute.zones.get",
    }
)  # fmt: skip
"""What plugin googlecompute 1.2.7 calls."""
_PUBLIC = frozenset({"compute.images.getFromFamily", "compute.images.get", "compute.images.useReadOnly"})


def _methods() -> frozenset[str]:
    """Every method of Google's own descriptions, by the id that the fake gives it."""
    (place,) = find_spec("googleapiclient").submodule_search_locations or ()  # type: ignore[union-attr]
    found: set[str] = set()

    def walk(node: dict[str, Any], version: str) -> None:
        for method in node.get("methods", {}).values():
            name = str(method["id"])
            found.add(name.replace("cloudresourcemanager.", f"cloudresourcemanager.{version}.") if "cloudresourcemanager" in name else name)
        for below in node.get("resources", {}).values():
            walk(below, version)

    for api in ("compute.v1", "cloudresourcemanager.v3", "serviceusage.v1", "cloudbilling.v1"):
        walk(json.loads((Path(place) / "discovery_cache" / "documents" / f"{api}.json").read_text(encoding="utf-8")), api.partition(".")[2])
    return frozenset(found)


def _made(file: Path) -> Iterator[str]:
    """The calls of a module that name their client and their method in one expression: `gcp.client(compute_v1.XClient).method(…)`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)):
            continue
        asked = node.value
        if (
            isinstance(asked.func, ast.Attribute)
            and asked.func.attr == "client"
            and asked.args
            and isinstance(asked.args[0], ast.Attribute)
        ):
            kind, method = asked.args[0].attr, node.attr.removesuffix("_unary")
            if hasattr(compute_v1, kind):
                yield f"compute.{_camel(kind.removesuffix('Client'))}.{_camel(method)}"


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    words = name.split("_")
    return words[0][0].lower() + words[0][1:] + "".join(word.title() for word in words[1:])


def test_every_call_of_the_table_exists() -> None:
    assert set(CALLS) - _methods() == set()


def test_every_direct_call_of_our_code_is_in_the_table() -> None:
    files = [*PROJECT.glob("launch/gcp/*.py"), *PROJECT.glob("goldbake/clouds/gcp/*.py"), *PROJECT.glob("goldbake/images/gcp*.py")]
    made = {call for file in files for call in _made(file)}
    assert len(made) > 10
    assert made - set(CALLS) == set()


def test_nothing_is_in_the_table_that_nobody_calls() -> None:
    files = [*PROJECT.glob("launch/gcp/*.py"), *PROJECT.glob("goldbake/clouds/gcp/[!r]*.py"), *PROJECT.glob("goldbake/images/gcp*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in [*files, PROJECT / "goldbake/clouds/gcp/resources.py"])
    for call in {call for call in CALLS if call.startswith("compute.")} - _PACKER:
        _, kind, method = call.split(".")
        assert f"{kind[0].upper()}{kind[1:]}Client" in text, call
        assert re.search(rf"\.{_snake(method)}(_unary)?\b", text), call


def test_a_call_that_is_not_in_the_table_would_be_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "gcp.client(compute_v1.NetworksClient).delete_unary(project=p)\ngcp.client(compute_v1.RegionInstancesClient).bulk_insert()\n"
    )
    assert sorted(_made(module)) == ["compute.networks.delete", "compute.regionInstances.bulkInsert"]


def test_permissions_of_a_purpose_are_those_of_its_calls() -> None:
    for purpose in (Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR):
        wanted = {name for needs in CALLS.values() if purpose in needs.purposes for name in needs.permissions}
        assert set(role.permissions([purpose])) == wanted


def test_those_who_only_destroy_can_start_nothing() -> None:
    allowed = role.permissions([Purpose.DESTROY])
    assert "compute.instances.delete" in allowed
    assert [name for name in allowed if name.endswith((".create", ".use", ".setMetadata", ".setIamPolicy", ".update"))] == []


def test_doctor_only_reads() -> None:
    allowed = role.permissions([Purpose.DOCTOR])
    assert [
        name for name in allowed if not name.rpartition(".")[2].startswith(("get", "list")) and name != "serviceusage.services.use"
    ] == []


def test_no_permission_is_wider_than_what_is_called() -> None:
    for name in role.permissions():
        assert not name.endswith("*")
        assert name.split(".")[0] in {"compute", "iam", "iap", "resourcemanager", "serviceusage"}
    assert not any("setIamPolicy" in name for name in role.permissions() if not name.startswith("compute.images"))


def test_the_role_is_what_gcloud_takes() -> None:
    found = yaml.safe_load(role.text())
    assert set(found) == {"title", "description", "stage", "includedPermissions"}
    assert found["includedPermissions"] == list(role.permissions())
    assert len(found["description"]) < 300
    assert len(found["includedPermissions"]) < 3000


def test_doctor_asks_for_what_every_command_needs() -> None:
    assert set(permissions.ALWAYS) == set(Purpose) - {Purpose.IAP, Purpose.SERVICE_ACCOUNT}
    assert set(role.permissions(permissions.ALWAYS)) >= _PUBLIC


def test_a_call_that_the_role_does_not_allow_is_refused_by_the_fake(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    """The fake's own table of permissions holds the role in every test that uses it: a permission that the role lacks would be noticed."""
    with pytest.raises(Forbidden, match=r"compute\.instances\.stop"):
        gcp.client(compute_v1.InstancesClient).stop_unary(project=gcp.project, zone=ZONE, instance="goldbake-one-1")
