"""Asking for permissions without using them: testIamPermissions says which of those of the role these credentials have on the project."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from google.cloud import resourcemanager_v3

from goldbake.clouds.gcp import role
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.role import Purpose
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

ALWAYS = (Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR)
_AT_A_TIME = 100
"""The most permissions of one call: https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions."""
_FIX = (
    "`gcloud iam roles create goldbake --project {project} --file docs/reference/gcp-role.yaml` (later `update`), then `gcloud projects"
    " add-iam-policy-binding {project} --member {member} --role projects/{project}/roles/goldbake`; `.venv/bin/python -m goldbake.clouds.gcp.role {purposes}`"
    " prints the part for this"
)


def examine(gcp: Gcp, purposes: Collection[Purpose] = ALWAYS) -> list[Finding]:
    """Ask for every permission of the role: a row for each that is missing, and one for all the others. Raises Failure."""
    wanted = role.permissions(purposes)
    given = held(gcp, wanted)
    missing = [name for name in wanted if name not in given]
    rows = [Finding("permissions", f"{len(wanted) - len(missing)} of {len(wanted)} that the role has are given in {gcp.project}")]
    return rows + [_row(gcp, name, purposes) for name in missing]


def held(gcp: Gcp, wanted: Collection[str]) -> frozenset[str]:
    """Those of `wanted` that these credentials have on the project. Raises Failure."""
    names, found = list(wanted), set[str]()
    client = gcp.client(resourcemanager_v3.ProjectsClient)
    for start in range(0, len(names), _AT_A_TIME):
        try:
            answer = client.test_iam_permissions(resource=f"projects/{gcp.project}", permissions=names[start : start + _AT_A_TIME])
        except RAISED as error:
            raise failure(error, doing="say what these credentials may do", place="global") from error
        found |= set(answer.permissions)
    return frozenset(found)


def _row(gcp: Gcp, name: str, purposes: Collection[Purpose]) -> Finding:
    needed = [purpose for purpose in role.purposes_of(name) if purpose in purposes]
    fix = _FIX.replace("{project}", gcp.project).replace("{member}", _member(gcp)).replace("{purposes}", " ".join(needed))
    return Finding(f"permission {name}", f"missing, and needed by {', '.join(needed)}", fix)


def _member(gcp: Gcp) -> str:
    """Who these credentials are, as a policy writes it, where they say so themselves."""
    mail = getattr(gcp.credentials, "service_account_email", "")
    return f"serviceAccount:{mail}" if "@" in mail else "user:YOU"
