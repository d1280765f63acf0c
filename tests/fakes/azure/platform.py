"""Lists of the marketplace: publishers, offers, SKUs and versions of images in a region."""

from __future__ import annotations

from typing import Any

from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import SUBSCRIPTION
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, handles
from tests.fakes.azure.sources import PLATFORM, Platform

_BASE = "Microsoft.Compute/locations/publishers"
_OFFERS = f"{_BASE}/artifacttypes/offers"


def _entries(ask: Ask, words: list[str], found: list[str]) -> Result:
    if not found:
        raise Refused("NotFound", f"Artifact: {'/'.join(words)} was not found.", 404)
    location = require_location(ask.target.names[0])
    path = "/".join(words)
    base = f"/Subscriptions/{SUBSCRIPTION}/Providers/Microsoft.Compute/Locations/{location}/Publishers/{path}"
    return Result(200, [{"location": location, "name": name, "id": f"{base}/{name}".replace("//", "/")} for name in dict.fromkeys(found)])


def _matching(ask: Ask, count: int) -> list[Platform]:
    """Images whose publisher, offer and sku are those of the path, as far as it names them."""
    require_location(ask.target.names[0])
    names = [name.lower() for name in ask.target.names[1:] if name.lower() != "vmimage"][:count]
    return [one for one in PLATFORM if [part.lower() for part in (one.publisher, one.offer, one.sku)][: len(names)] == names]


@handles("GET", _BASE)
def publishers(ask: Ask) -> Result:
    """Who has images."""
    return _entries(ask, [""], [one.publisher for one in PLATFORM])


@handles("GET", _OFFERS)
def offers(ask: Ask) -> Result:
    """What a publisher has."""
    return _entries(ask, [ask.target.names[1], "ArtifactTypes/VMImage/Offers"], [one.offer for one in _matching(ask, 1)])


@handles("GET", f"{_OFFERS}/skus")
def skus(ask: Ask) -> Result:
    """The kinds of an offer."""
    names = ask.target.names
    return _entries(ask, [names[1], "ArtifactTypes/VMImage/Offers", names[3], "Skus"], [one.sku for one in _matching(ask, 2)])


@handles("GET", f"{_OFFERS}/skus/versions")
def versions(ask: Ask) -> Result:
    """The versions of one kind, or one of them."""
    found = _matching(ask, 3)
    names = ask.target.names
    if len(names) == 6:  # publisher, vmimage, offer, sku, version after the region
        return _one(ask, found, names[5])
    listed = sorted(version for one in found for version in one.versions)
    if ask.query.get("$orderby", "").lower() == "name desc":
        listed.reverse()
    top = ask.query.get("$top")
    words = [names[1], "ArtifactTypes/VMImage/Offers", names[3], "Skus", names[4], "Versions"]
    return _entries(ask, words, listed[: int(top)] if top else listed)


def _one(ask: Ask, found: list[Platform], version: str) -> Result:
    one = next((each for each in found if version in (*each.versions, "latest")), None)
    if one is None:
        raise Refused("NotFound", f"Artifact: VMImage was not found: {version}.", 404)
    exact = one.versions[-1] if version == "latest" else version
    features = [{"name": "SecurityType", "value": "TrustedLaunchSupported"}] if one.trusted else []
    properties: dict[str, Any] = {
        "osDiskImage": {"operatingSystem": "Linux"},
        "dataDiskImages": [],
        "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
        "hyperVGeneration": one.generation,
        "architecture": one.architecture,
        "features": features,
        "imageDeprecationStatus": {"imageState": "Active"},
    }
    if one.plan:
        properties["plan"] = {"publisher": one.publisher, "name": one.sku, "product": one.offer}
    location = require_location(ask.target.names[0])
    return Result(
        200,
        {
            "location": location,
            "name": exact,
            "id": f"/Subscriptions/{SUBSCRIPTION}{ask.target.path.partition(SUBSCRIPTION)[2]}",
            "properties": properties,
        },
    )
