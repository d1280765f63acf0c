"""What stands before any resource: registration, permissions, policies, locks."""

from __future__ import annotations

import fnmatch

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import CLIENT, Book
from tests.fakes.azure.kinds import Ask

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}
WORDS = {"poweroff": "powerOff", "retrievebootdiagnosticsdata": "retrieveBootDiagnosticsData", "simulateeviction": "simulateEviction"}


def action_of(ask: Ask) -> str:
    """The action that a call needs, as Microsoft.Compute/virtualMachines/write."""
    if ask.target.action and ask.method == "POST":
        low = ask.target.action.lower()
        return f"{ask.target.type}/{WORDS.get(low, low)}/action"
    kind = ask.target.type.replace("Microsoft.Resources/resourceGroups", "Microsoft.Resources/subscriptions/resourceGroups")
    return f"{kind}/{VERBS[ask.method]}"


def check(ask: Ask) -> None:
    """Raises Refused."""
    needed = action_of(ask)
    allow(ask.book, needed, ask.target.path)
    if ask.method in ("GET", "HEAD"):
        return
    _registered(ask)
    if ask.method == "PUT":
        _policies(ask)
    _locks(ask)


def allow(book: Book, action: str, scope: str) -> None:
    """Raises AuthorizationFailed for what was not granted, or was denied."""
    granted = any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in book.granted)
    if not granted or action.lower() in {one.lower() for one in book.denied}:
        raise Refused(
            "AuthorizationFailed",
            f"The client '{CLIENT}' with object id '{CLIENT}' does not have authorization to perform action '{action}' over scope '{scope}' "
            "or the scope is invalid. If access was recently granted, please refresh your credentials.", 403,
        )  # fmt: skip


def _registered(ask: Ask) -> None:
    provider = ask.target.type.partition("/")[0]
    if provider.lower() in ask.book.unregistered and ask.method == "PUT":
        raise Refused(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{provider}'. See https://aka.ms/rps-not-found for how to register subscriptions.",
            409,
            details=[{"code": "MissingSubscriptionRegistration", "target": provider,
                      "message": f"The subscription is not registered to use namespace '{provider}'. "
                                 "See https://aka.ms/rps-not-found for how to register subscriptions."}],
        )  # fmt: skip


def _policies(ask: Ask) -> None:
    for policy in ask.book.policies:
        name = policy(ask.target.type, ask.body or {})
        if name:
            scope = f"/subscriptions/{ask.target.subscription}"
            assignment = f"{scope}/providers/Microsoft.Authorization/policyAssignments/{name}"
            definition = f"{scope}/providers/Microsoft.Authorization/policyDefinitions/{name}"
            raise Refused(
                "RequestDisallowedByPolicy",
                f"Resource '{ask.target.name}' was disallowed by policy. Policy identifiers: '[{{\"policyAssignment\":{{\"name\":\"{name}\","
                f"\"id\":\"{assignment}\"}},\"policyDefinition\":{{\"name\":\"{name}\",\"id\":\"{definition}\"}}}}]'.",
                403, target=ask.target.name,
                additionalInfo=[{"type": "PolicyViolation", "info": {
                    "policyDefinitionDisplayName": name, "policyDefinitionId": definition, "policyDefinitionName": name, "policyDefinitionEffect": "deny",
                    "policyAssignmentId": assignment, "policyAssignmentName": name, "policyAssignmentDisplayName": name, "policyAssignmentScope": scope,
                }}],
            )  # fmt: skip


def _locks(ask: Ask) -> None:
    path = ask.target.path.lower()
    for scope, level in ask.book.locks.items():
        covers = path == scope.lower() or path.startswith(f"{scope.lower()}/")
        below = ask.method == "DELETE" and scope.lower().startswith(f"{path}/")
        if (covers or below) and (ask.method == "DELETE" or level == "ReadOnly"):
            verb = "delete" if ask.method == "DELETE" else "write"
            raise Refused(
                "ScopeLocked",
                f"The scope '{ask.target.path}' cannot perform {verb} operation because following scope(s) are locked: '{scope}'. "
                "Please remove the lock and try again.", 409,
            )  # fmt: skip
