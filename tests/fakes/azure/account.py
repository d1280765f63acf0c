"""What is above the groups: tenants, subscriptions, regions, providers, permissions."""

from __future__ import annotations

from typing import Any

from tests.fakes.azure import rules
from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import SUBSCRIPTION, TENANT, Book
from tests.fakes.azure.catalogue import LOCATIONS, NEEDED, zones_of_location
from tests.fakes.azure.kinds import Ask, handles
from tests.fakes.azure.pages import paged


def require_subscription(id: str) -> None:
    """Raises Refused for one that is not this one."""
    if id.lower() != SUBSCRIPTION:
        raise Refused("SubscriptionNotFound", f"The subscription '{id}' could not be found.", 404)


@handles("GET", "subscriptions")
def subscriptions(ask: Ask) -> Result:
    """The one that there is."""
    one: dict[str, Any] = {
        "id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "Fake",
        "state": ask.book.subscription_state,
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
        "authorizationSource": "RoleBased", "managedByTenants": [],
    }  # fmt: skip
    return Result(200, one) if ask.target.names else paged(ask, [one])


@handles("GET", "tenants")
def tenants(ask: Ask) -> Result:
    """The directory."""
    return paged(
        ask,
        [
            {
                "id": f"/tenants/{TENANT}",
                "tenantId": TENANT,
                "displayName": "Fake",
                "countryCode": "DE",
                "tenantCategory": "Home",
                "tenantType": "AAD",
            }
        ],
    )


@handles("GET", "locations")
def locations(ask: Ask) -> Result:
    """The regions."""
    return paged(ask, [_location(name, title) for name, (title, _) in LOCATIONS.items()])


def _location(name: str, title: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": f"/subscriptions/{SUBSCRIPTION}/locations/{name}", "name": name, "type": "Region", "displayName": title, "regionalDisplayName": title,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended", "geographyGroup": "Somewhere", "longitude": "0", "latitude": "0",
                     "physicalLocation": title, "pairedRegion": []},
    }  # fmt: skip
    zones = zones_of_location(name)
    if zones:
        found["availabilityZoneMappings"] = [{"logicalZone": zone, "physicalZone": f"{name}-az{zone}"} for zone in zones]
    return found


@handles("GET", "providers")
def providers(ask: Ask) -> Result:
    """One, or all, with whether they are registered."""
    if not ask.target.names:
        return paged(ask, [_provider(ask.book, name) for name in NEEDED])
    return Result(200, _provider(ask.book, _known(ask.target.name), read=True))


@handles("POST", "providers")
def register(ask: Ask) -> Result:
    """Register one, or take it back."""
    name = _known(ask.target.name)
    rules.allow(ask.book, f"{name}/register/action", ask.target.path)
    if ask.target.action.lower() == "register":
        if name.lower() in ask.book.unregistered:
            ask.book.registering[name.lower()] = ask.book.register_polls
            ask.book.unregistered.discard(name.lower())
    else:
        ask.book.unregistered.add(name.lower())
    return Result(200, _provider(ask.book, name))


def _known(text: str) -> str:
    found = next((name for name in NEEDED if name.lower() == text.lower()), None)
    if found is None:
        raise Refused("InvalidResourceNamespace", f"The resource namespace '{text}' is invalid.", 404)
    return found


def _provider(book: Book, name: str, *, read: bool = False) -> dict[str, Any]:
    low = name.lower()
    state = "NotRegistered" if low in book.unregistered else "Registered"
    if low in book.registering:
        if book.registering[low] > 0:
            state = "Registering"
            book.registering[low] -= 1 if read else 0
        else:
            del book.registering[low]
    titles = [title for title, _ in LOCATIONS.values()]
    kinds = [{"resourceType": kind, "locations": titles, "apiVersions": ["2024-03-01"], "capabilities": "None"} for kind in NEEDED[name]]
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/{name}",
        "namespace": name,
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": kinds,
    }


@handles("GET", "Microsoft.Authorization/permissions")
def permissions(ask: Ask) -> Result:
    """What the identity may do: all, but for what was denied."""
    return paged(ask, [{"actions": list(ask.book.granted), "notActions": sorted(ask.book.denied), "dataActions": [], "notDataActions": []}])
