"""What these credentials may do in a subscription, as Azure itself says it, held against what each command needs. Nothing is tried."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure import role
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.role import Purpose
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_VERSION = "2022-04-01"
_LOOKED = (Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR)
_GALLERY = "Microsoft.Compute/galleries/"
"""What is needed in the gallery's resource group only."""


def examine(azure: Azure, *, gallery_groups: Collection[str] = (), identity: bool = False) -> list[Finding]:
    """A row for each kind of resource with actions that the credentials lack, and one for all that they have. Raises Failure.

    Actions on a gallery may be allowed in its resource group alone. `identity`: whether machines are to have managed identities.
    """
    wanted = role.actions([*_LOOKED, *([Purpose.IDENTITY] if identity else [])])
    allowed = _of_subscription(azure)
    lacking = [action for action in wanted if not any(role.allows(*one, action) for one in allowed)]
    if any(action.startswith(_GALLERY) for action in lacking):
        for group in gallery_groups:
            there = _of_group(azure, group)
            lacking = [
                action for action in lacking if not (action.startswith(_GALLERY) and any(role.allows(*one, action) for one in there))
            ]
    rows = [Finding("permissions", f"{len(wanted) - len(lacking)} of {len(wanted)} actions are allowed in the subscription")]
    return rows + list(_rows(azure, lacking))


def _rows(azure: Azure, lacking: Sequence[str]) -> Iterator[Finding]:
    kinds: dict[str, list[str]] = {}
    for action in lacking:
        kind, _, verb = action.removesuffix("/action").rpartition("/")
        kinds.setdefault(kind, []).append(verb)
    for kind, verbs in kinds.items():
        purposes = {purpose for action in lacking if action.startswith(f"{kind}/") for purpose in role.purposes_of(action)}
        state = f"{', '.join(verbs)}: not allowed, and needed by {', '.join(purpose for purpose in Purpose if purpose in purposes)}"
        yield Finding(f"permission {kind}", state, _fix(azure))


def _fix(azure: Azure) -> str:
    return (
        f"make the role of docs/reference/azure-role.json (docs/how-to/azure.md), then `az role assignment create --role {role.NAME}"
        f" --assignee-object-id OBJECT-ID --scope /subscriptions/{azure.subscription}`; it needs some minutes"
    )


def _of_subscription(azure: Azure) -> list[tuple[Sequence[str], Sequence[str]]]:
    """`actions` and `notActions` of each role that counts in the whole subscription. The SDK has the call for groups only."""
    path = f"/subscriptions/{azure.subscription}/providers/Microsoft.Authorization/permissions?api-version={_VERSION}"
    client = azure.client(ResourceManagementClient)
    try:
        found: list[Any] = []
        while path:
            answer = client.send_request(HttpRequest("GET", path))
            answer.raise_for_status()
            page = answer.json()
            found += page.get("value", [])
            path = page.get("nextLink") or ""
    except HttpResponseError as error:
        raise failure(error, doing="list permissions", place="the subscription") from error
    except (AzureError, ValueError) as error:
        told = error if isinstance(error, AzureError) else AzureError(str(error))
        raise failure(told, doing="list permissions", place="the subscription") from error
    return [(one.get("actions") or (), one.get("notActions") or ()) for one in found]


def _of_group(azure: Azure, group: str) -> list[tuple[Sequence[str], Sequence[str]]]:
    """The same in a resource group; nothing when it is not there, or may not be asked."""
    try:
        found: Any = azure.client(AuthorizationManagementClient).permissions.list_for_resource_group(group)
        return [(one.actions or (), one.not_actions or ()) for one in found]
    except AzureError:
        return []
